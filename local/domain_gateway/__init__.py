"""A stand-in for an Amazon OpenSearch Service domain: a real OpenSearch, with what the service puts in front of it.

What it stands for: requests signed with Signature V4 (key, session, scope, clock, body), IAM policies and the domain's
access policies, the caller's ARN as user and backend role in fine-grained access control, and connectors with
``credential.roleArn``, ``secretArn`` and ``externalAccountRoleArn``, which the open-source server knows nothing of.
Every refusal has the status and the words of the service, as far as they are known.

What it does not stand for: signatures in the query, access policies for unsigned requests (those of an internal user
always pass to the Security plugin), SAML, Dashboards, throttling, and VPCs.

    local.domain_gateway.process      start it, and steer it from Python
    local.domain_gateway.gateway      what happens to a request, and the control API
    local.domain_gateway.callers      who sent it, and whether IAM lets them
    local.domain_gateway.roles        what becomes of ``roleArn``, ``secretArn`` and ``externalAccountRoleArn``
    local.domain_gateway.connectors   where in a request a connector is
"""
