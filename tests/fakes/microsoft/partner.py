"""Partner Center in miniature: the customers of a partner, and what they were sold."""

from __future__ import annotations

import base64
import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from tests.fakes.https import Asked, Reply
from tests.fakes.microsoft.directory import Directory, Tenant
from tests.fakes.microsoft.signin import PARTNER, SignInService

BOM = b"\xef\xbb\xbf"


@dataclass
class PartnerCenter:
    """Answers requests. Every other answer begins with a byte-order mark, and every other link with
    the version, as they do.
    """

    directory: Directory
    service: SignInService
    root: str = PARTNER
    page_size: int = 40
    asked: int = 0

    def answer(self, asked: Asked) -> Reply:
        """One request."""
        self.asked += 1
        path, _, query = asked.target.partition("?")
        options = {name: values[0] for name, values in parse_qs(query).items()}
        token = self.service.token(asked, self.root, tenant=self.directory.home.id)
        if token is None:
            return self._json(401, {"code": 401, "description": "Unauthorized"})
        parts = path.strip("/").split("/")
        if parts == ["v1", "customers"]:
            return self._customers(asked, options)
        if parts[:2] != ["v1", "customers"] or parts[3:] not in ([], ["subscriptions"]):
            return self._error(404, 404, "Not found.")
        return self._of_customer(parts[2], parts[3:])

    def _of_customer(self, key: str, what: list[str]) -> Reply:
        tenant = self.directory.customers.get(key)
        if tenant is None:
            return self._error(404, 60003, "Tenant not found.")
        if not tenant.is_customer:
            return self._error(403, 20002, "No commerce relationship with this customer.")
        if what:
            return self._json(200, _collection([*tenant.commerce.values()]))
        return self._json(200, _customer(tenant))

    def _customers(self, asked: Asked, options: dict[str, str]) -> Reply:
        at = 0
        if options.get("seekOperation") == "Next":
            given = asked.headers.get("MS-ContinuationToken", "")
            try:
                at = int(base64.b64decode(given))
            except ValueError:
                return self._error(400, 2000, "The continuation token is missing.")
        elif "size" not in options:
            return self._error(400, 2000, "size is required.")
        known = [one for one in self.directory.customers.values() if one.is_customer]
        some = known[at : at + self.page_size]
        found = _collection([_listed(one) for one in some])
        if at + self.page_size < len(known):
            version = "/v1" if self.asked % 2 else ""
            token = base64.b64encode(str(at + self.page_size).encode()).decode()
            found["links"]["next"] = {
                "uri": f"{version}/customers?size={self.page_size}&seekOperation=Next",
                "method": "GET",
                "headers": [{"key": "MS-ContinuationToken", "value": token}],
            }
        return self._json(200, found)

    def _json(self, status: int, body: Any) -> Reply:
        mark = BOM if self.asked % 2 else b""
        return Reply(status, mark + json.dumps(body).encode())

    def _error(self, status: int, code: int, description: str) -> Reply:
        told = {"code": code, "description": description, "data": [], "source": "PartnerFD"}
        return self._json(status, told)


def _collection(items: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "totalCount": len(items),
        "items": items,
        "links": {"self": {"uri": "/v1/customers", "method": "GET", "headers": []}},
        "attributes": {"objectType": "Collection"},
    }


def _listed(tenant: Tenant) -> dict[str, Any]:
    return {
        "id": tenant.id,
        "companyProfile": {
            "tenantId": tenant.id,
            "domain": tenant.domain,
            "companyName": tenant.name,
            "attributes": {"objectType": "CustomerCompanyProfile"},
        },
        "relationshipToPartner": "reseller",
        "attributes": {"objectType": "Customer"},
    }


def _customer(tenant: Tenant) -> dict[str, Any]:
    given = tenant.address
    address = {
        "country": given.get("countryLetterCode", "GB"),
        "city": given.get("city", "Bristol "),
        "region": given.get("state", ""),
        "addressLine1": given.get("street", "1 Quay Street"),
        "addressLine2": "",
        "postalCode": given.get("postalCode", "BS1 4DJ"),
        "phoneNumber": "+441174960000",
    }
    found = _listed(tenant)
    found["companyProfile"] |= {"address": address, "email": f"it@{tenant.domain}"}
    return {
        **found,
        "billingProfile": {
            "companyName": tenant.name,
            "email": f"billing@{tenant.domain}",
            "defaultAddress": {**address, "state": address["region"]},
            "attributes": {"etag": '"changes"', "objectType": "CustomerBillingProfile"},
        },
        "customDomains": [tenant.domain],
        "allowDelegatedAccess": True,
        "associatedPartnerId": None,
    }
