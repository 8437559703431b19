"""The guestbook: a Flask service with a page, a JSON API and PostgreSQL."""
