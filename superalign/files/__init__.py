"""Users' files: YAML that knows its lines, tables, templates, plug-ins."""
