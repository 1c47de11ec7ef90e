"""`rmpe demo`: a page in the browser on which poses and gradients follow the sliders at once."""
