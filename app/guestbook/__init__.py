"""The guestbook: entries, their store, the API and the page."""
