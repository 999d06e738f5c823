"""The data sets the predictor is measured on."""
