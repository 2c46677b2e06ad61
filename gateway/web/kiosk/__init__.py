"""A kiosk: a browser that is a dispenser's screen, for customers. No page of technicians looks like it."""
