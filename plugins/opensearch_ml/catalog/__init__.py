"""Folders of blueprint and target files.

`catalog` reads and checks a file, by `validation`, which makes a document a blueprint or a list of findings. `folders`
says where this Airflow has its files, `stand_ins` replace variables without a value, `json_schema` is for editors.
"""
