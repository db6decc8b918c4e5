"""What people ask for in every report of a fault: found out, judged, and with what to do."""
