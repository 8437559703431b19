"""The WSGI entry: `application`, made from the process's environment."""

import os

from app.config import load
from app.factory import create_app

application = create_app(load(os.environ))
