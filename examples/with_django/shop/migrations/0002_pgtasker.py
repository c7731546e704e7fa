"""Installs pgtasker: the file beside this one is what `pgtasker sql` printed."""

from pathlib import Path

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("shop", "0001_initial")]
    operations = [
        migrations.RunSQL(
            Path(__file__).with_name("pgtasker.sql").read_text(),
            reverse_sql="drop schema pgtasker cascade",
        ),
    ]
