print("pvio")
