"""Connect OpenSearch to remote AI models from Airflow, declaratively, and keep that connection alive.

Each package has one concept, and imports only from those below it in this list (`make lint` checks that):

* `operators`, `sensors`, `triggers`, and the command line in `cli`: how Airflow and people run everything else;
* `reconcile`: a plan for everything that a target names, its approval, and how it is applied;
* `rotation`: a new credential or definition under traffic;
* `steps`: ensure one thing, which is look, compare, write only what differs, and return what was done;
* `importing`: blueprints made from documentation and from a cluster;
* `resources`: what a cluster holds, and what differs from a blueprint;
* `catalog`: folders of files become checked blueprints and targets;
* `checks`: what is wrong with a blueprint;
* `credentials`: references, secrets managers, credential sources, fingerprints;
* `iam`: the role of a connector, its documents and their checks;
* `hook`, and below it `client` and `aws`: every request to a cluster and to AWS;
* `links`, `assets`, `notifications`: what an Airflow user sees of a task;
* `blueprint`: the document itself, and how a file is read and written;
* `base`, `retries`, `errors`.

Public are the names in `__all__` of `hook`, `sensors`, `triggers`, `links`, `assets`, `notifications`, `operators.*`,
`errors` and `retries`, the command line, and what the files in ``dags/`` import. Everything else may change.
"""
