"""The table of orders."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """Make it."""

    initial = True
    dependencies = ()
    operations = (
        migrations.CreateModel(
            name="Order",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("title", models.CharField(max_length=100)),
                ("invoice", models.CharField(blank=True, max_length=100)),
                ("invoiced_by", models.CharField(blank=True, max_length=200)),
                ("mailed_by", models.CharField(blank=True, max_length=200)),
            ],
        ),
    )
