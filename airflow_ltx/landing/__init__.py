"""Landing: a finished file under the name its author chose, whole or not at all."""
