#!/usr/bin/env bash
# Fetches public LTX-Video checkpoints, adapters and the text encoder from the hub.
#   scripts/download_weights.sh                  the names it knows, with their terms
#   scripts/download_weights.sh NAME [FOLDER]    into FOLDER, weights/ by default
# The same command resumes an interrupted download. A file is in place once it is whole
# and its sha256 is the one that scripts/weights.sha256 lists, or else the one that
# FOLDER/SHA256SUMS recorded when it was first fetched. HF_ENDPOINT names another hub.
set -euo pipefail
HERE=$(cd "$(dirname "$0")" && pwd)
HUB=${HF_ENDPOINT:-https://huggingface.co}
KNOWN=${KNOWN_SHA256:-$HERE/weights.sha256}

OPEN="LTXV Open Weights License: free below USD 10M of yearly revenue, use restrictions"
RAIL="OpenRail-M, use restrictions"
EARLY="see the model card: older than the licences of 0.9.5 and later"
APACHE="Apache-2.0 (google/t5-v1_1-xxl)"
# name | repository | file, or folder/ with an index of shards | terms
CATALOGUE="\
2b-0.9.0|Lightricks/LTX-Video|ltx-video-2b-v0.9.safetensors|$EARLY
2b-0.9.1|Lightricks/LTX-Video|ltx-video-2b-v0.9.1.safetensors|$EARLY
2b-0.9.5|Lightricks/LTX-Video|ltx-video-2b-v0.9.5.safetensors|$RAIL
2b-0.9.6-dev|Lightricks/LTX-Video|ltxv-2b-0.9.6-dev-04-25.safetensors|$OPEN
2b-0.9.6-distilled|Lightricks/LTX-Video|ltxv-2b-0.9.6-distilled-04-25.safetensors|$OPEN
2b-0.9.8-distilled|Lightricks/LTX-Video|ltxv-2b-0.9.8-distilled.safetensors|$OPEN
13b-0.9.7-dev|Lightricks/LTX-Video|ltxv-13b-0.9.7-dev.safetensors|$OPEN
13b-0.9.7-distilled|Lightricks/LTX-Video|ltxv-13b-0.9.7-distilled.safetensors|$OPEN
13b-0.9.8-dev|Lightricks/LTX-Video|ltxv-13b-0.9.8-dev.safetensors|$OPEN
13b-0.9.8-distilled|Lightricks/LTX-Video|ltxv-13b-0.9.8-distilled.safetensors|$OPEN
upscaler-0.9.7|Lightricks/LTX-Video|ltxv-spatial-upscaler-0.9.7.safetensors|$OPEN
upscaler-0.9.8|Lightricks/LTX-Video|ltxv-spatial-upscaler-0.9.8.safetensors|$OPEN
lora-13b-0.9.7-distilled|Lightricks/LTX-Video|ltxv-13b-0.9.7-distilled-lora128.safetensors|$OPEN
lora-depth|Lightricks/LTX-Video-ICLoRA-depth-13b-0.9.7|ltxv-097-ic-lora-depth-control-diffusers.safetensors|$OPEN
lora-pose|Lightricks/LTX-Video-ICLoRA-pose-13b-0.9.7|ltxv-097-ic-lora-pose-control-diffusers.safetensors|$OPEN
lora-canny|Lightricks/LTX-Video-ICLoRA-canny-13b-0.9.7|ltxv-097-ic-lora-canny-control-diffusers.safetensors|$OPEN
lora-detailer|Lightricks/LTX-Video-ICLoRA-detailer-13b-0.9.8|ltxv-098-ic-lora-detailer-diffusers.safetensors|$OPEN
folder-13b-0.9.7-dev|Lightricks/LTX-Video-0.9.7-dev|transformer/|$OPEN
folder-13b-0.9.7-distilled|Lightricks/LTX-Video-0.9.7-distilled|transformer/|$OPEN
text-encoder|PixArt-alpha/PixArt-XL-2-1024-MS|text_encoder/|$APACHE; the mirror adds OpenRAIL++
tokenizer|PixArt-alpha/PixArt-XL-2-1024-MS|tokenizer/spiece.model|$APACHE; the mirror adds OpenRAIL++"

fail() { echo "error: $1" >&2; exit 2; }

# The checksum a file must have, by its name REPOSITORY/FILE; nothing if none is known.
listed_sha256() {
  local sums
  for sums in "$KNOWN" "$FOLDER/SHA256SUMS"; do
    [ ! -f "$sums" ] || awk -v name="$1" '$2 == name {print $1; exit}' "$sums"
  done | head -n 1
}

# A .safetensors file is as long as its header says; a page of HTML has no such header.
check_whole() {
  case $1 in *.safetensors.part) ;; *) return 0 ;; esac
  python3 - "$1" <<'PY'
import json, os, sys
try:
    with open(sys.argv[1], "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(min(length, 1 << 28)))
    ends = [v["data_offsets"][1] for k, v in header.items() if k != "__metadata__"]
    whole = os.path.getsize(sys.argv[1]) == 8 + length + max(ends, default=0)
except (ValueError, KeyError, TypeError, AttributeError):
    whole = False
sys.exit(not whole)
PY
}

verify() { # FILE NAME
  local wanted got
  wanted=$(listed_sha256 "$2")
  got=$(sha256sum "$1" | cut -d' ' -f1)
  if [ -z "$wanted" ]; then
    echo "$got  $2" >>"$FOLDER/SHA256SUMS"
    echo "$2: no checksum is known; recorded $got of this first download in $FOLDER/SHA256SUMS."
  elif [ "$wanted" = "$got" ]; then
    echo "$2: whole, sha256 $got."
  else
    fail "$1: expected sha256 $wanted, got $got; damaged or changed upstream: remove it and run this again."
  fi
}

fetch() { # REPOSITORY FILE
  local target=$FOLDER/$1/$2 part
  part=$target.part
  if [ -f "$target" ]; then
    verify "$target" "$1/$2"
    return
  fi
  mkdir -p "$(dirname "$target")"
  { [[ $part == *.safetensors.part && -s $part ]] && check_whole "$part"; } ||
    curl -fL --retry 3 --progress-bar -C - -o "$part" "$HUB/$1/resolve/main/$2" ||
    fail "$1/$2: not fetched; run this again to go on with $part."
  check_whole "$part" ||
    fail "$part: not a whole safetensors file; remove it and run this again."
  verify "$part" "$1/$2"
  mv "$part" "$target"
}

fetch_folder() { # REPOSITORY FOLDER/
  local index shard stem=diffusion_pytorch_model
  [ "$2" = transformer/ ] || stem=model
  index=$2$stem.safetensors.index.json
  fetch "$1" "$2config.json"
  fetch "$1" "$index"
  python3 -c 'import json, sys
print(*sorted(set(json.load(open(sys.argv[1]))["weight_map"].values())), sep="\n")' \
    "$FOLDER/$1/$index" | while read -r shard; do fetch "$1" "$2$shard"; done
}

if [ $# -eq 0 ]; then
  while IFS='|' read -r name repo file terms; do
    printf '%-27s %s/%s\n%27s %s\n' "$name" "$repo" "$file" "" "$terms"
  done <<<"$CATALOGUE"
  exit 0
fi
FOLDER=${2:-weights}
row=$(awk -F'|' -v name="$1" '$1 == name' <<<"$CATALOGUE")
[ -n "$row" ] || fail "no weights are called '$1'; without arguments this lists the names."
IFS='|' read -r _ repo file terms <<<"$row"
mkdir -p "$FOLDER"
echo "$repo. Terms: $terms."
echo "Whoever uses these weights, or adapters and models made from them, accepts those terms."
case $file in
*/) fetch_folder "$repo" "$file" ;;
*) fetch "$repo" "$file" ;;
esac
