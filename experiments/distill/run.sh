#!/usr/bin/env bash
# Distillation, the whole way, on Multi30k English to German: a teacher, its translations, a student that learns from them,
# the student in int8 with a lexical shortlist; BLEU and words a second of each. Prints a table and writes result.json
# beside this script. Interrupted, the same command goes on from the last checkpoint and the last finished stage; with
# other numbers of updates the stages that they change are made anew.
#
# Usage: run.sh [--data FOLDER] [--work FOLDER] [--programs FOLDER] [--teacher UPDATES] [--student UPDATES]
#   --data FOLDER      files as experiments/multi30k/README.md lists them; without it they are downloaded
#   --work FOLDER      models, translations; default: ${XDG_CACHE_HOME:-~/.cache}/bough/distill
#   --programs FOLDER  bough's programs; without it they are built into build/
#   --teacher, --student UPDATES   default: 5000 and 8000
set -eu
here=$(dirname -- "$(readlink -f -- "$0")")
. "$here/../options.sh"
. "$here/../multi30k/data.sh"

data="" programs="" work=$caches/distill teacher=5000 student=8000
take_options "data work programs teacher student" "$@"
make_work
multi30k_data "$data" "$work"

cd "$bough"
experiments/install.sh --python --pieces
have_programs
train=$programs/bough-train
vocabs=("$work/vocab.spm" "$work/vocab.spm")

# What the stages of the teacher are made by, and those of the student, which come from it.
teacher_recipe=$(cat "$bough/experiments/multi30k/config.yml" "$here/teacher.yml"; echo "$teacher updates")
student_recipe=$(echo "$teacher_recipe"; cat "$here/student.yml" "$here/lexicon.py"; echo "$student updates")
keep_recipe "$work/student.recipe" "$student_recipe" "$work/student" "$work/lex.s2t" "$work/student.int8.bin"
keep_recipe "$work/teacher.recipe" "$teacher_recipe" "$work/teacher" "$work/vocab.spm" "$work/taught.de"

# stage FILE COMMAND...: makes FILE unless it is there; a part of it is nowhere to be seen.
stage() {
  [ ! -s "$1" ] || return 0
  echo "distill: ${1#"$work"/}" >&2
  "${@:2}"
}

train_teacher() {
  mkdir -p "$work/teacher"
  "$train" -c "$bough/experiments/multi30k/config.yml" "$here/teacher.yml" --after "${teacher}u" --quiet \
    --model "$work/teacher/model.npz" --log "$work/teacher/train.log" --train-sets "$data/train.en" "$data/train.de" \
    --valid-sets "$data/val.en" "$data/val.de" --vocabs "${vocabs[@]}"
  average_last "$work/teacher" 10
}

teach() {
  "$programs/bough-translate" -c "$work/teacher/model.npz.decoder.yml" -m "$work/teacher/average.npz" -i "$data/train.en" \
    -o "$work/taught.part" --quiet --quiet-translation --mini-batch 64 --maxi-batch 100 --maxi-batch-sort src
  mv "$work/taught.part" "$work/taught.de"
}

train_student() {
  mkdir -p "$work/student"
  "$train" -c "$here/student.yml" --after "${student}u" --quiet --model "$work/student/model.npz" \
    --log "$work/student/train.log" --train-sets "$data/train.en" "$work/taught.de" \
    --valid-sets "$data/val.en" "$data/val.de" --vocabs "${vocabs[@]}"
  average_last "$work/student" 10
}

count_words() {
  spm_encode --model="$work/vocab.spm" <"$data/train.en" >"$work/pieces.en"
  spm_encode --model="$work/vocab.spm" <"$work/taught.de" >"$work/pieces.de"
  python3 -B "$here/lexicon.py" "$work/pieces.en" "$work/pieces.de" "$work/lex.part"
  mv "$work/lex.part" "$work/lex.s2t"
}

quantize() {
  "$programs/bough-average" "$work/student.part.bin" "$work/student/average.npz" --export-int8 \
    --calibrate "$data/val.en" --vocabs "${vocabs[@]}"
  mv "$work/student.part.bin" "$work/student.int8.bin"
}

stage "$work/teacher/average.npz" train_teacher
stage "$work/taught.de" teach
stage "$work/student/average.npz" train_student
stage "$work/lex.s2t" count_words
stage "$work/student.int8.bin" quantize

teacher_model=(-c "$work/teacher/model.npz.decoder.yml" -m "$work/teacher/average.npz" --beam-size 5)
student_model=(-c "$work/student/model.npz.decoder.yml" --beam-size 1)
int8=(-m "$work/student.int8.bin" --gemm-precision int8shiftAlphaAll)
{
  echo "{"
  result_head
  echo "  \"teacher_updates\": $teacher, \"student_updates\": $student,"
} >"$work/result.json"
python3 -B "$here/measure.py" "$programs" "$work" "$data" \
  "teacher:" "${teacher_model[@]}" \
  "student:" "${student_model[@]}" -m "$work/student/average.npz" \
  "student, int8:" "${student_model[@]}" "${int8[@]}" \
  "student, int8, shortlist:" "${student_model[@]}" "${int8[@]}" --shortlist "$work/lex.s2t" 50 50 \
  >>"$work/result.json"
cp "$work/result.json" "$here/result.json"
