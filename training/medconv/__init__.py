"""MedConv (Qi et al. 2025): convolutional networks that tell normal, osteopenia and osteoporosis from one vertebra in CT."""
