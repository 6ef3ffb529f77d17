"""What is wrong with a well-formed blueprint: the server takes it, and it breaks or leaks later.

`all_checks` runs them, one module for each part of a blueprint; `versions` checks what only some servers know.
`request_body` fills a body as the server does, and `painless` reads scripts, for these checks.
"""
