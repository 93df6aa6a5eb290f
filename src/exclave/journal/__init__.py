"""The depositor's local progress: dedup index, packs that are safe, records to be lodged."""
