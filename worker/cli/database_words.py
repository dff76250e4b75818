"""What the database said, in one line."""

from sqlalchemy.exc import DBAPIError, SQLAlchemyError


def database_words(error: SQLAlchemyError) -> str:
    if isinstance(error, DBAPIError):
        return f"the database refused: {first_line(error.orig or error)}"
    return f"the database cannot be used: {first_line(error)}"


def first_line(error: BaseException) -> str:
    return (str(error).strip() or type(error).__name__).splitlines()[0]
