"""From bytes to pixels, without torch.

decode      any picture -> RGB uint8; silence keeps Pillow quiet meanwhile
formats     what a file is, by its bytes
colour      any mode of Pillow -> RGB on white
preprocess  RGB uint8 -> the square crops that a detector sees
perturb     what happens to a picture on its way to the viewer
h264        what happens to it in a video
origin      what a file says of its own origin
video       frames of a clip
faces       faces in a frame
drawn       pictures drawn by code, for self-tests
"""
