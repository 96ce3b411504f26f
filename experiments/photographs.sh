#!/usr/bin/env bash
# All tables on photographs, most wanted rows and first seeds first:
#
#   experiments/photographs.sh VOC_ROOT WEIGHTS [override ...]
#
# VOC_ROOT: a folder in VOC's layout; WEIGHTS: those of a ResNet-50 as torchvision has them. Set CLASSES=[cat,dog] where
# the folder shows some of VOC's classes alone, SAVE= to print and not to write result files, SEEDS="0 0,1,2" for other
# seeds, TABLES="cam/table1" for some tables, PLAN=1 to see what would run, whereby nothing is computed. What is finished
# is not computed again, so a killed run goes on; how long each part took is added to LOG, runs/photographs.log. The trunk's
# maps take most of it, once: 3 MB and a second of one core a photograph in bf16, which is taken where the processor or
# a GPU has it (PRECISION=32-true or bf16-mixed to decide); without it takes longer.
set -euo pipefail
cd "$(dirname "$0")/.."
ROOT=${1:?give the folder of the photographs} WEIGHTS=${2:?give the weights of a ResNet-50}
shift 2
TABLES=${TABLES:-compare/photographs cam/table1 priors/photographs_masks priors/photographs points/photographs-table2
  points/photographs-table1 coseg/photographs_masks coseg/photographs_labels coseg/photographs priors/photographs_known_tags
  points/photographs-table3 points/photographs-table4 cam/labels}
WSSS=${WSSS:-.venv/bin/wsss}
[[ -d /proc/driver/nvidia/gpus ]] || grep -qsw -e avx512_bf16 -e amx_bf16 -e bf16 /proc/cpuinfo && has=bf16-mixed || has=32-true
how=(--run ${SAVE---save})
[[ -z ${PLAN:-} ]] || how=(--plan)
failed=0
log=${LOG:-runs/photographs.log}
[[ -n ${PLAN:-} ]] || mkdir -p "$(dirname "$log")"
for seeds in ${SEEDS:-0 0,1,2}; do
  for table in $TABLES; do
    source=()
    [[ $table == coseg/* || $table == compare/* ]] && source=(source=photographs)
    begun=$SECONDS
    "$WSSS" table "$table" "${how[@]}" data=voc "data.root=$ROOT" "data.classes=${CLASSES:-null}" \
      data.train_list=train_aug data.test_list=null backbone=resnet50 "backbone.weights=$WEIGHTS" \
      "trainer.precision=${PRECISION:-$has}" "${source[@]}" "seed=$seeds" "$@" && state=done || state=failed failed=1
    [[ -n ${PLAN:-} ]] || echo "$(date +%FT%T) $table seed=$seeds $state after $((SECONDS - begun)) s" | tee -a "$log"
  done
done
exit $failed
