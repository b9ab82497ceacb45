"""How the models of the zoo are made: training pictures with their credits, publication, cards."""
