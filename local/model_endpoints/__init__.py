"""The remote AI platforms of the demo and the tests in one server: OpenAI and who speaks its API, Cohere, Google, Aleph
Alpha, Yandex, and of Amazon's services SageMaker, Bedrock, Comprehend and Textract.

What the double stands for: the paths, the requests, answers and errors of those services as an OpenSearch connector
meets them; their authentication (API keys; Signature V4, really verified); embeddings that mean something (MiniLM,
384 dimensions, whatever model is asked for; with an API's own dimensions parameter they are cut, or padded with zeros);
what the policies of an AWS account let a caller do, if there is one behind the endpoints; and, told by ``/_control``,
their bad days.

What it does not stand for: the quality of an answer (chat repeats the prompt, the same way every time), tokens as the
real models count them, quotas, streaming, what an image shows (a PNG's own texts stand for it), the work of a batch
job, or how fast the services are. Any region is taken for its own.

    local.model_endpoints.process   start it, and steer it from Python
    local.model_endpoints.control   the control API
    local.model_endpoints.keys      accepted keys and fingerprints
    local.model_endpoints.account   the AWS account that is asked about all other keys
"""
