#!/usr/bin/env bash
# What is measured on a GPU, within ten minutes of one; prepared and tried where there is none:
#
#   experiments/gpu.sh pack FOLDER VOC_ROOT WEIGHTS   a folder to carry there: photographs, weights, packages
#   experiments/gpu.sh plan FOLDER                    every command, nothing is computed
#   experiments/gpu.sh run FOLDER OUT                 on the GPU machine; OUT gets gpu.log and results.tar.gz
#
# VOC_ROOT: photographs in VOC's layout; WEIGHTS: of BACKBONE, which beside a decode.py are compressed and decoded there by
# `decode.py BACKBONE OUT`. All photographs are packed that fit, and learned from are 1,000: set FIRST= for pack, or
# LIST=train_aug for run, to take others. CLASSES=[cat,dog] for pack where the folder shows some of VOC's classes alone,
# PYTHON= for another interpreter than python3, PARTS="agreement crf" for some parts, TOTAL= for another limit in seconds,
# TINY=1 for a try at toy size. A part that fails or takes too long does not stop the next; what is finished is not
# computed again. Unpacked beside the code, results.tar.gz puts tables and speed results where they belong.
set -euo pipefail
VERB=${1:-} FOLDER=$(realpath -m "${2:?give a verb (pack, plan or run) and a folder}") HERE=$(pwd)
cd "$(dirname "$0")/.."
PYTHON=${PYTHON:-python3} BACKBONE=${BACKBONE:-resnet50} LIMIT=${LIMIT:-56} # MiB of the folder; the code joins it
WORK=$FOLDER/work
PINS=${PINS-hydra-core omegaconf albumentations albucore stringzilla simsimd pydantic pydantic-core annotated-types
  typing-inspection higra pycocotools} # distributions that a GPU machine with Lightning may lack
export PYTHONPATH=$PWD${PYTHONPATH:+:$PYTHONPATH}

pack() {
  local root weights room
  root=$(cd "$HERE" && realpath -e "$1") weights=$(cd "$HERE" && realpath -e "$2")
  rm -rf "$FOLDER/weights" "$FOLDER/voc.tar.gz" # of an earlier call; packages are kept
  mkdir -p "$FOLDER/weights"
  cp "$weights" "$FOLDER/weights/"
  [[ ! -f $(dirname "$weights")/decode.py ]] || cp "$(dirname "$weights")/decode.py" "$FOLDER/weights/"
  printf 'CLASSES=%s\nBACKBONE=%s\nCOMMIT=%s\n' "${CLASSES:-null}" "$BACKBONE" "$(git rev-parse HEAD 2>/dev/null || echo unknown)" >"$FOLDER/settings"
  [[ -z $PINS || -f $FOLDER/site.tar.xz ]] || packages
  room=$((LIMIT * 1024 * 1024 - $(bytes)))
  ((room > 0)) || { echo "gpu.sh: weights and packages alone have more than $LIMIT MiB: set LIMIT." >&2; exit 1; }
  "$PYTHON" experiments/gpu.py shrink "$root" "$FOLDER/voc.tar.gz" --bytes "$room" --first "${FIRST:-1000}"
  echo "$FOLDER: $(bytes) bytes"
  (($(bytes) <= 64 * 1024 * 1024)) || { echo "gpu.sh: $FOLDER has more than 64 MiB: set a lower LIMIT." >&2; exit 1; }
}

bytes() { # of what is carried
  find "$FOLDER" -path "$WORK" -prune -o -type f -printf '%s\n' | awk '{ total += $1 } END { print total + 0 }'
}

packages() { # site.tar.xz with a folder for each distribution, so that the machine's own go first
  local temporary platforms=() name wheels
  temporary=$(mktemp -d)
  wheels=$temporary/wheels
  for name in 2_28 2_27 2_17 2014 1; do platforms+=(--platform "manylinux${name/#2_/_2_}_x86_64"); done
  "$PYTHON" -m pip download --quiet --no-deps --only-binary=:all: --python-version 3.12 --implementation cp "${platforms[@]}" \
    --dest "$wheels" $(pinned $PINS)
  "$PYTHON" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" "$(pinned antlr4-python3-runtime)" # published as source alone
  "${PYTHON312:-python3.12}" -m pip wheel --quiet --no-deps --wheel-dir "$wheels" "$(pinned pydensecrf2)" ||
    echo "pydensecrf2 was not built for Python 3.12: crf.backend=auto will be the lattice"
  for name in "$wheels"/*.whl; do
    "$PYTHON" -m zipfile -e "$name" "$temporary/site/$(basename "$name" | cut -d- -f1)"
  done
  find "$temporary/site" -name '*.so' -exec strip --strip-debug {} + 2>/dev/null || true
  tar -C "$temporary" -cJf "$FOLDER/site.tar.xz" site
  rm -r "$temporary"
}

pinned() { # names -> name==version of requirements/
  local name
  for name in "$@"; do grep -hoE -m 1 "^$name==[^ ;]+" requirements/dev.txt requirements/pydensecrf.txt; done
}

prepare() {
  mkdir -p "$WORK/logs" "$WORK/speed" "$WORK/results"
  . "$FOLDER/settings"
  [[ -d $WORK/voc ]] || { mkdir "$WORK/voc.part" && tar -C "$WORK/voc.part" -xzf "$FOLDER/voc.tar.gz" && mv "$WORK/voc.part" "$WORK/voc"; }
  [[ ! -f $FOLDER/site.tar.xz || -d $WORK/site ]] || tar -C "$WORK" -xJf "$FOLDER/site.tar.xz"
  [[ ! -d $WORK/site ]] || PYTHONPATH+=:$("$PYTHON" experiments/gpu.py lacking "$WORK/site")
  WEIGHTS=$(find "$FOLDER/weights" -name '*.pth' | head -1)
  if [[ -f $FOLDER/weights/decode.py && $VERB == run ]]; then
    [[ -f $WORK/$BACKBONE.pth ]] || "$PYTHON" "$FOLDER/weights/decode.py" "$BACKBONE" "$WORK/$BACKBONE.pth"
    WEIGHTS=$WORK/$BACKBONE.pth
  fi
  [[ $VERB == plan ]] || DEVICE=$("$PYTHON" experiments/gpu.py device)
}

wanted() { [[ -z ${PARTS:-} || " $PARTS " == *" $1 "* ]]; }

part() { # NAME SECONDS COMMAND...: within its limit and what is left of the whole
  local name=$1 limit=$2 begun=$SECONDS state=done left=$((TOTAL - SECONDS))
  shift 2
  if [[ $VERB == plan ]]; then
    echo "== $name, at most $limit s: $*"
    [[ $1 != "$PYTHON" || $2 != -m ]] || "${@/#--run/--plan}"
    return
  fi
  [[ -z ${TINY:-} ]] || limit=$((limit * 10)) # processors
  ((limit < left)) || limit=$left
  if ((limit > 0)); then
    timeout --kill-after=10 "$limit" "$@" >"$WORK/logs/$name.log" 2>&1 || state="failed ($?)"
  else
    state=left\ out
  fi
  echo "$(date +%FT%T) $DEVICE $name $state after $((SECONDS - begun)) s" | tee -a "$OUT/gpu.log"
}

wsss() { # NAME SECONDS VERB ...: a part by the command line
  local name=$1 limit=$2 verb=$3
  shift 3
  [[ $VERB != plan || $verb != run ]] || verb=plan
  part "$name" "$limit" "$PYTHON" -m wsss_lightning.cli "$verb" "$@" "${COMMON[@]}"
}

table() { # NAME SECONDS TABLE NOTE OVERRIDES...: what is there is saved, whether all rows are done or not
  local name=$1 limit=$2 spec=$WORK/results/experiments/$3.yaml note=$4
  mkdir -p "$(dirname "$spec")"
  cp "experiments/$3.yaml" "$spec"
  shift 4
  wsss "$name" "$limit" table "$spec" --run "$@"
  [[ $VERB == plan ]] || wsss "$name-saved" 60 table "$spec" --save --suffix "$DEVICE" --note "$note" "$@"
}

program() { # NAME SECONDS PROGRAM ARGUMENTS...
  local name=$1 limit=$2
  shift 2
  part "$name" "$limit" "$PYTHON" "experiments/speed/$1.py" "${@:2}" --out "$WORK/speed"
}

collect() { # into one archive; files of the speed programs are marked with the device here
  [[ $VERB != plan ]] || return 0
  local file folder=$WORK/results/experiments/speed/results
  mkdir -p "$folder" "$WORK/results/logs"
  for file in "$WORK"/speed/*.*; do
    [[ ! -f $file ]] || cp "$file" "$folder/$(basename "${file%.*}")-$DEVICE.${file##*.}"
  done
  cp "$WORK"/logs/*.log "$WORK/results/logs/" 2>/dev/null || true
  tar -C "$WORK/results" --exclude='*.yaml' -czf "$OUT/results.part" . && mv "$OUT/results.part" "$OUT/results.tar.gz"
}

all() {
  COMMON=(data=voc "data.root=$WORK/voc" "data.classes=$CLASSES" "data.train_list=${LIST:-train_first}" data.test_list=null
    "paths.root=$WORK/runs" runtime.progress=false trainer.deterministic=warn) # some layers have no deterministic form on GPUs
  local images=$WORK/voc/JPEGImages resnet=("backbone=$BACKBONE" "backbone.weights=$WEIGHTS") half=trainer.precision=bf16-mixed
  local network=(--backbone "$BACKBONE" --weights "$WEIGHTS") some=() few=() steps=() workers
  workers=$(($(nproc) > 4 ? $(nproc) / 3 : 0)) # several trainings at a time
  COMMON+=("runtime.workers=$workers")
  local crops=() pictures=()
  [[ -z ${TINY:-} ]] || few=(--photographs 2 --rounds 1) steps=(--steps 2 --size 64 --batch 1) \
    crops=(tuning.batch_size=1 "tuning.crop=[64,64]" "coseg.cosegmentation.kept=[0.0,1.0]") \
    pictures=(stages.localization.batch_size=1 "tuning.localization.size=[64,64]")

  if wanted agreement; then program agreement 90 agreement "$images" "${network[@]}" "${few[@]::2}"; collect; fi
  if wanted training; then program training 75 training --backbone "$BACKBONE" "${steps[@]}"; collect; fi
  share
  local coseg=(source=photographs "${resnet[@]}" "$half" ablation=coseg/agreed "tuning.generator.steps=$GENERATOR" "tuning.final.steps=$FINAL" "${crops[@]}")
  local patches=(source=same backbone=lse "tuning.steps=$PATCHES" patches.mining.images=500)
  # On processors, or too small to fill a GPU: beside the two that are not.
  if wanted coseg; then wsss coseg-masks 300 run method=coseg result=cosegmentation "${coseg[@]}" & fi
  if wanted patches; then
    for class in cat dog; do
      wsss "patches-$class" 330 run experiment=patches/lse1 "patches.target=$class" result=second_round "${patches[@]}" &
    done
  fi
  [[ $VERB != plan ]] || wait
  if wanted priors; then
    table priors 140 priors/all_layers "$PRIORS_SHARE of the paper's steps" "${resnet[@]}" "$half" \
      "tuning.localization.steps=$LOCALIZATION" "tuning.segmenter.steps=$SEGMENTER" "${pictures[@]}"
    collect
  fi
  if wanted coseg; then
    table coseg 180 coseg/all_layers "$COSEG_SHARE of the steps of the method" "${coseg[@]}"
    collect
  fi
  wait
  if wanted patches; then
    table patches 90 patches/photographs "$PATCHES steps of one image in the two rounds" "${patches[@]}"
    collect
  fi
  if wanted cams; then program cams 60 cams "$images" "${network[@]}" "${few[@]}"; fi
  if wanted prediction; then
    [[ -z ${TINY:-} ]] || few=(--photographs 4 --rounds 1)
    program prediction 60 prediction "$WORK/voc" --backbone "$BACKBONE" "${few[@]}"
  fi
  [[ -z ${TINY:-} ]] || some=(--photographs 1 --labels 3) few=(--images 50 --steps 2)
  if wanted crf; then program crf 60 crf_device "$images" --rounds 1 "${some[@]}"; fi
  if wanted points; then program points 90 points --only classifier --rounds 1 --steps 50 "${few[@]}"; fi
  if wanted dense; then
    [[ -z ${TINY:-} ]] || some=(--size 48 64)
    program dense 60 patches --device auto --rounds 2 "${some[@]}"
  fi
  collect
}

share() { # of the papers' steps, by what a step costs here
  PRIORS_SHARE=1/16 COSEG_SHARE=1/16 LOCALIZATION=[250,125] SEGMENTER=[250,125] GENERATOR=[312,31] FINAL=[687,93] PATCHES=[20000,10000]
  if [[ -f $WORK/speed/training.json && $VERB == run && -z ${TINY:-} ]]; then
    eval "$("$PYTHON" experiments/gpu.py steps "$WORK/speed/training.json")"
  fi
  [[ -z ${TINY:-} ]] || LOCALIZATION=[1,1] SEGMENTER=[1,1] GENERATOR=[1,1] FINAL=[1,1] PATCHES=[2,1]
}

case $VERB in
  pack) pack "${3:?give the folder of the photographs}" "${4:?give the weights of $BACKBONE}" ;;
  plan)
    TOTAL=0
    prepare
    all
    ;;
  run)
    OUT=$(cd "$HERE" && realpath -m "${3:?give a folder for the results}") TOTAL=${TOTAL:-$([[ -n ${TINY:-} ]] && echo 7200 || echo 540)}
    mkdir -p "$OUT"
    prepare
    echo "$(date +%FT%T) $DEVICE, $(nproc) cores; packed at commit $COMMIT" | tee -a "$OUT/gpu.log"
    all
    ;;
  *) echo "gpu.sh: give pack, plan or run and a folder, not ${VERB:-nothing}." >&2 && exit 1 ;;
esac
