"""The paper's figures: settings, pictures, and whether what the paper says of them holds."""
