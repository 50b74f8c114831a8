"""Several requests at once, all of them awaited, one error out of several."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from postern_common.errors import PermanentError

T = TypeVar("T")


async def concurrently(*work: Coroutine[Any, Any, T]) -> list[T]:
    """Results in order. When some fail, all are awaited and one error is raised: a refusal before anything transient.

    A write that is under way is not cancelled by its neighbour's failure: its outcome would be unknown.
    """
    results = await asyncio.gather(*work, return_exceptions=True)
    errors = [result for result in results if isinstance(result, BaseException)]
    if errors:
        raise min(errors, key=_rank)
    return [result for result in results if not isinstance(result, BaseException)]


def _rank(error: BaseException) -> int:
    if not isinstance(error, Exception):
        return 0
    return 1 if isinstance(error, PermanentError) else 2
