"""What has been run: records, predictions, measurements and artifacts, one file each. No torch."""
