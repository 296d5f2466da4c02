print("pvgen")
