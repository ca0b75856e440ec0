"""A project of Django: an app with models, tasks and management commands, over SQLite."""

from tests.everyday.project import NOTE, Edit, Project

COMMAND = """
import json, operator, pathlib, sys
import offload
from django.conf import settings
from django.core.management.base import BaseCommand
from stock.models import Product
from stock.tasks import label, left, value

class Command(BaseCommand):
    def add_arguments(self, parser):
        parser.add_argument("how", nargs="?", default="")

    def handle(self, *args, how, **options):
        pear = Product.objects.get(name="pear")
        file = offload.File(settings.DATABASES["default"]["NAME"])
        rows = list(Product.objects.order_by("pk").values_list("price", "amount"))
        calls = {"value": (value, rows), "label": (label, pear), "left": (left, file, 3)}
        if how == "map":
            found = offload.gather([task.submit(*words) for task, *words in calls.values()])
        else:
            found = [task(*words) for task, *words in calls.values()]
        self.stdout.write(json.dumps(dict(zip(calls, found)), default=str))
"""
WEBSHOP = Project(
    "webshop",
    {
        "manage.py": """
            import os, sys

            if __name__ == "__main__":
                os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_shop.settings")
                from django.core.management import execute_from_command_line
                execute_from_command_line(sys.argv)
        """,
        "site_of_shop/__init__.py": "",
        "site_of_shop/ready.py": """
            import os
            import django

            os.environ.setdefault("DJANGO_SETTINGS_MODULE", "site_of_shop.settings")
            django.setup()
        """,
        "site_of_shop/settings.py": """
            from pathlib import Path

            BASE = Path(__file__).resolve().parent.parent
            SECRET_KEY = "not so secret"
            INSTALLED_APPS = ["django.contrib.contenttypes", "stock"]
            DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": BASE / "db.sqlite3"}}
            DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
            USE_TZ = True
            CURRENCY = "EUR"
            PAGE = 10
        """,
        "stock/__init__.py": "",
        "stock/apps.py": """
            from django.apps import AppConfig

            class StockConfig(AppConfig):
                name = "stock"
        """,
        "stock/models.py": """
            from django.db import models

            class Available(models.Manager):
                def above(self, amount):
                    return self.filter(amount__gt=amount)

            class Product(models.Model):
                name = models.CharField(max_length=30)
                price = models.DecimalField(max_digits=8, decimal_places=2)
                amount = models.IntegerField(default=0)
                objects = Available()

                def label(self):
                    return f"{self.name.title()}: {self.price}"
        """,
        "stock/tasks.py": NOTE
        + """
import offload
import site_of_shop.ready  # workers come here without manage.py
from django.conf import settings
from stock.models import Product

@offload.task
def value(rows):
    note("value")
    return str(sum(price * amount for price, amount in rows))

@offload.task
def label(product):
    note("label")
    assert isinstance(product, Product)
    return f"{product.label()} {settings.CURRENCY}"

@offload.task
def left(database, amount):
    note("left")
    return [product.name for product in Product.objects.above(amount).order_by("name")]
""",
        "stock/fixtures/products.json": """
            [
              {"model": "stock.product", "pk": 1, "fields": {"name": "pear", "price": "2.50", "amount": 4}},
              {"model": "stock.product", "pk": 2, "fields": {"name": "fig", "price": "1.00", "amount": 5}}
            ]
        """,
        "stock/management/commands/report.py": COMMAND,
        "stock/management/commands/sell.py": """
            from django.core.management.base import BaseCommand
            from django.db.models import F
            from stock.models import Product

            class Command(BaseCommand):
                def add_arguments(self, parser):
                    parser.add_argument("name")

                def handle(self, *args, name, **options):
                    Product.objects.filter(name=name).update(amount=F("amount") - 1)
        """,
    },
    {"value": "15.00", "label": "Pear: 2.50 EUR", "left": ["fig", "pear"]},
    "value label left",
    (
        Edit("stock/models.py", ".title()", ".upper()", {"label": "PEAR: 2.50 EUR"}, "label left"),
        Edit("site_of_shop/settings.py", "EUR", "CHF", {"label": "PEAR: 2.50 CHF"}, "label"),
        Edit("site_of_shop/settings.py", "PAGE = 10", "PAGE = 20"),
        Edit("stock/models.py", "amount__gt", "amount__gte", {}, "label left"),
        Edit("manage.py sell pear", "", "", {"value": "12.50", "left": ["fig", "pear"]}, "value label left"),
    ),
    program=("manage.py", "report"),
    prepared=(("manage.py", "migrate", "--run-syncdb", "-v0"), ("manage.py", "loaddata", "-v0", "products")),
)
