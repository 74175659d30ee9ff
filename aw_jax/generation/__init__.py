"""Layer 3: text, images and videos to video with a checkpoint of LTX-Video."""
