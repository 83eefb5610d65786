"""What the two laws call things, and how long an answer may take.

Regulation (EU) 2016/679 (GDPR) and the California Consumer Privacy Act, Cal. Civ. Code § 1798.100
and following, with its regulations (11 CCR § 7000 and following).
"""

from __future__ import annotations

import calendar
from datetime import datetime, timedelta
from enum import Enum

from spikeformer.error_handling import ArgumentError
from spikeformer.i18n import t


def notice() -> str:
    """Return what every answer and report says of itself: that it is no legal advice."""
    return t("compliance.notice")


class ProcessingPurpose(Enum):
    """What personal data are used for, the unit in which consent is given (GDPR Art. 6(1)(a))."""

    MODEL_TRAINING = "model_training"
    """To train a model, and to test that same model."""
    RESEARCH = "research"
    """To study the data themselves."""
    SERVICE_IMPROVEMENT = "service_improvement"
    """To improve a service that the subject uses."""
    SHARING = "sharing"
    """To pass the data, or models trained on them, to others."""


class ComplianceFramework(Enum):
    """The laws that a report can be about."""

    GDPR = "gdpr"
    CCPA = "ccpa"


class RequestType(Enum):
    """What a data subject may ask for."""

    ACCESS = "access"
    RECTIFICATION = "rectification"
    ERASURE = "erasure"
    RESTRICTION = "restriction"
    PORTABILITY = "portability"
    OBJECTION = "objection"


CALIFORNIAN = {
    "know": RequestType.ACCESS,
    "correct": RequestType.RECTIFICATION,
    "delete": RequestType.ERASURE,
    "limit": RequestType.RESTRICTION,
    "opt_out": RequestType.OBJECTION,
}
"""The CCPA's own words for requests."""

REFERENCES = {
    (ComplianceFramework.GDPR, RequestType.ACCESS): "GDPR Art. 15",
    (ComplianceFramework.GDPR, RequestType.RECTIFICATION): "GDPR Art. 16",
    (ComplianceFramework.GDPR, RequestType.ERASURE): "GDPR Art. 17",
    (ComplianceFramework.GDPR, RequestType.RESTRICTION): "GDPR Art. 18",
    (ComplianceFramework.GDPR, RequestType.PORTABILITY): "GDPR Art. 20",
    (ComplianceFramework.GDPR, RequestType.OBJECTION): "GDPR Art. 21",
    (ComplianceFramework.CCPA, RequestType.ACCESS): "CCPA § 1798.110",
    (ComplianceFramework.CCPA, RequestType.RECTIFICATION): "CCPA § 1798.106",
    (ComplianceFramework.CCPA, RequestType.ERASURE): "CCPA § 1798.105",
    (ComplianceFramework.CCPA, RequestType.RESTRICTION): "CCPA § 1798.121",
    (ComplianceFramework.CCPA, RequestType.PORTABILITY): "CCPA § 1798.130(a)(3)(B)",
    (ComplianceFramework.CCPA, RequestType.OBJECTION): "CCPA § 1798.120",
}
"""Where each right stands."""

CALIFORNIA = "US-CA"
"""Jurisdiction of subjects whose requests fall under the CCPA."""


def read_request(word: str, jurisdiction: str) -> tuple[RequestType, ComplianceFramework]:
    """Return what is asked for, and under which law.

    Args:
        word: A value of `RequestType`, or one of the CCPA's words.
        jurisdiction: Where the subject lives, an ISO 3166 code; "US-CA" has the CCPA.

    Raises:
        ArgumentError: There is no such request.
    """
    if word in CALIFORNIAN:
        return CALIFORNIAN[word], ComplianceFramework.CCPA
    try:
        request = RequestType(word)
    except ValueError:
        words = ", ".join([*(each.value for each in RequestType), *CALIFORNIAN])
        raise ArgumentError("request_type", word, f"one of {words}") from None
    californian = jurisdiction == CALIFORNIA
    return request, ComplianceFramework.CCPA if californian else ComplianceFramework.GDPR


def due_date(
    received: datetime, request: RequestType, framework: ComplianceFramework, *, extended: bool
) -> datetime:
    """Return when an answer is due.

    GDPR Art. 12(3): one month, and two further months if extended. CCPA § 1798.130(a)(2): 45 days,
    and 45 more if extended; 11 CCR §§ 7026(f), 7027(g): 15 business days to stop selling, sharing
    or using sensitive data, which cannot be extended.

    Example:
        >>> due_date(datetime(2027, 1, 31), RequestType.ACCESS, ComplianceFramework.GDPR,
        ...          extended=False).date().isoformat()
        '2027-02-28'
    """
    if framework is ComplianceFramework.GDPR:
        return _months_later(received, 3 if extended else 1)
    if request in (RequestType.OBJECTION, RequestType.RESTRICTION):
        return _business_days_later(received, 15)
    return received + timedelta(days=90 if extended else 45)


def _months_later(day: datetime, months: int) -> datetime:
    """Return the same day of a later month, or its last one (Regulation 1182/71, Art. 3(2)(c))."""
    years, month = divmod(day.month - 1 + months, 12)
    year = day.year + years
    last = calendar.monthrange(year, month + 1)[1]
    return day.replace(year=year, month=month + 1, day=min(day.day, last))


def _business_days_later(day: datetime, count: int) -> datetime:
    while count:
        day += timedelta(days=1)
        count -= day.weekday() < 5
    return day
