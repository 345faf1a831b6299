"""What export, gate, import and people's commands share: what is shown, what came back, how it is merged."""
