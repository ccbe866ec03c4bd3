"""SIP authentication: digest, challenges, request guard."""
