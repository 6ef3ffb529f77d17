"""What is changed in moto, in one place: the process is this account's alone."""

from __future__ import annotations

import threading
from typing import Any

from moto import settings
from moto.core.authorization import ActionAuthenticatorMixin
from moto.core.responses import ActionResult, BaseResponse
from moto.iam import access_control
from moto.iam.responses import IamResponse
from moto.moto_api._internal.models import moto_api_backend
from moto.sts.exceptions import STSValidationError
from moto.sts.models import STSBackend
from moto.sts.responses import TokenResponse

from local.aws_account.account import Account
from local.aws_account.enforcement import checked_request
from local.aws_account.root_user import ACCOUNT_ID, ROOT_ACCESS_KEY_ID, ROOT_ARN
from local.aws_account.simulation import simulate

_READS = ("Get", "List", "Describe", "BatchGet", "Search", "Simulate", "Decode")
_PREFIXES = {"opensearch": "es"}  # where IAM's prefix is not the service's name in moto


def install(account: Account) -> None:
    """Let this account's decisions count in moto, and note what is written."""
    base: Any = BaseResponse
    iam: Any = IamResponse
    tokens: Any = TokenResponse
    sts: Any = STSBackend
    control: Any = access_control
    answer, who, assume = base.call_action, sts.get_caller_identity, tokens.assume_role
    one_at_a_time = threading.RLock()  # moto looks and then writes: two equal CreateRole could both pass the look

    def call_action(self: BaseResponse) -> Any:
        service, action = self.service_name or "", self._get_action() or ""
        writes = service != "sts" and not action.startswith(_READS)
        if not writes:
            return answer(self)
        with one_at_a_time:
            result = answer(self)
            if int(result[0]) != 403:
                account.state.writes[f"{_PREFIXES.get(service, service)}:{action}"] += 1
            account.roles.note_changes()
            account.principals.note_keys()
        return result

    def get_caller_identity(self: STSBackend, access_key_id: str, region: str) -> tuple[str, str, str]:
        if access_key_id == ROOT_ACCESS_KEY_ID:
            return ACCOUNT_ID, ROOT_ARN, ACCOUNT_ID
        told: tuple[str, str, str] = who(self, access_key_id, region)
        return told

    def simulate_principal_policy(self: IamResponse) -> ActionResult:
        return ActionResult(simulate(account, self.params))

    def assume_role(self: TokenResponse) -> ActionResult:
        role = account.moto_role(self._get_param("RoleArn"))
        if role and self._get_int_param("DurationSeconds", 3600) > role.max_session_duration:
            raise STSValidationError("The requested DurationSeconds exceeds the MaxSessionDuration set for this role.")
        answered: ActionResult = assume(self)
        told: Any = answered.result
        account.shorten(told["Credentials"])
        return answered

    control.IAMRequest = checked_request(account)  # moto looks the name up with each call
    base.call_action = call_action
    sts.get_caller_identity = get_caller_identity
    tokens.assume_role = assume_role
    iam.simulate_principal_policy = simulate_principal_policy


def reset_moto() -> None:
    """Forget everything in all accounts, and check no more calls: nobody is left who could pass."""
    moto_api_backend.reset()
    settings.INITIAL_NO_AUTH_ACTION_COUNT = float("inf")
    ActionAuthenticatorMixin.request_count = 0
