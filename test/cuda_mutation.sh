#!/usr/bin/env bash
# Tests the tests of the CUDA kernels: plants one mistake after another in a copy of cuda/, builds the objects it is in
# for the emulator, links them with the rest of an existing build, and demands that the op table or a kernel test
# notices. Needs a built test preset. Usage: test/cuda_mutation.sh [build folder] [part of a file name]
# test/cuda_mutation.sh --check builds nothing: it says which mutants no longer apply.
# Exit status: 0 all killed, 1 one survived, 2 one no longer applies or does not build.
set -u
cd "$(dirname "$0")/.."
checks_only=""
[[ ${1:-} != --check ]] || { checks_only=yes; shift; }
build=${1:-build-test} filter=${2:-}
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
if [[ ! $checks_only ]]; then
  commands=$(ninja -C "$build" -t commands bough-test) || exit 2
  link=$(grep -- ' -o bough-test ' <<<"$commands" | tail -1)
  [[ $link ]] || { echo "$build holds no bough-test: build it first"; exit 2; }
fi

object() { echo "CMakeFiles/bough_cuda_emulated.dir/cuda/$1.o"; }

# Compiles the copy's source $1 to $copy/$1.o, its headers before the tree's.
compile() {
  local command
  command=$(grep -F -- "-o $(object "$1") " <<<"$commands" | tail -1)
  command=${command/ -DBOUGH_EMULATOR/ -I$copy -DBOUGH_EMULATOR}
  command=${command/$(object "$1").d/$copy/$1.d}
  command=${command/-o $(object "$1")/-o $copy/$1.o}
  command=${command/$PWD\/cuda\/$1/$copy\/cuda\/$1}
  (cd "$build" && eval "${command//-Werror/-w} -O1") >>"$copy/log" 2>&1
}

link_with() {
  local command=${link/ -o bough-test / -o $copy/bough-test } source
  for source in "$@"; do command=${command/$(object "$source")/$copy/$source.o}; done
  (cd "$build" && eval "$command") >>"$copy/log" 2>&1
}

planted=0 survived=0 gone=0
# sources to build anew, file, right text, wrong text[, tests that must notice; default: op table and kernel tests]
mutant() {
  local file=cuda/$2 verdict code source
  [[ $file == *"$filter"* ]] || return 0
  planted=$((planted + 1))
  if ! grep -qF -- "$3" "$file"; then
    gone=$((gone + 1))
    echo "GONE     $2: $3"
    return
  fi
  [[ ! $checks_only ]] || return 0
  rm -rf "$copy/cuda" && cp -r cuda "$copy/cuda"
  : >"$copy/log"
  right=$3 wrong=$4 perl -0pe 's/\Q$ENV{right}\E/$ENV{wrong}/' "$file" >"$copy/$file"
  if ! { for source in $1; do compile "$source" || exit 1; done; link_with $1; }; then
    tail -5 "$copy/log"
    verdict="NO BUILD" gone=$((gone + 1))
  else
    (cd "$build" && timeout 900 "$copy/bough-test" "${5:-[ops],[kernels]}" --abort) >"$copy/log" 2>&1
    code=$?
    verdict="killed  "
    if [[ $code -eq 0 || $code -eq 124 ]]; then
      verdict="SURVIVED" survived=$((survived + 1))
    fi
  fi
  printf '%s %s: %s -> %s\n' "$verdict" "$2" "$3" "${4:-(nothing)}"
}

# Lost sums.
mutant embedding.cu embedding.cu 'sum[i] += factor * keep[i] * g[k][i]' 'sum[i] = factor * keep[i] * g[k][i]'
mutant embedding.cu embedding.cu 'sum[i] += more[i]' 'sum[i] = more[i]'
mutant embedding.cu embedding.cu 'found == warp_size; end += found' 'found < 0; end += found'
mutant residual_norm_backward.cu residual_norm_backward.cu 'sums[of_beta][k][i] += now.dy[i]' 'sums[of_beta][k][i] = now.dy[i]'
mutant column_sums.cu column_sums.cu 'b < blocks; b += slices' 'b < slices && b < blocks; b += slices'
mutant column_sums.cu rows.h 'adds ? to_float(*out) + value : value' 'value'
mutant elementwise.cu rows.h 'v[i] += before[i];' 'v[i] = before[i];'
mutant gemm.cc gemm.cc 'gemm.row_sums.mode == GradMode::write && common_alignment' 'common_alignment'
mutant elementwise.cu elementwise.cu 'target.tensor), target.mode == GradMode::add' 'target.tensor), false'
mutant residual_norm_backward.cu residual_norm_backward.cu 'sums[of_beta][k][i] += dy[i];' 'sums[of_beta][k][i] = dy[i];'
mutant residual_norm.cu residual_norm.cu 'next.load(in, row + narrow_warps, cols)' 'next.load(in, row, cols)'
mutant elementwise.cu elementwise.cu 'total += of_slice[s * block_cols + c]' 'total = of_slice[s * block_cols + c]'
mutant residual_norm.cu residual_norm.cu 'mask < warp_size; mask *= 2' 'mask < warp_size / 2; mask *= 2'
mutant residual_norm.cu residual_norm.cu 'r * r * of_terms[1]' 'r * of_terms[1]'
mutant optimizer.cu optimizer.cu 'i >= sites || statistics[gradient_stat::is_finite] == 0' 'i >= sites'
# Missing barriers.
mutant attention_bins.cu attention_bins.cu 'sync_block("rows from other threads would be missing");' ''
mutant attention_bins_backward.cu attention_bins_backward.cu 'sync_block("weights of other warps'"'"' queries would be missing");' ''
mutant residual_norm_backward.cu residual_norm_backward.cu 'sync_block("sums of other warps would be missing");' ''
mutant top_k.cu top_k.cu 'sync_block("candidates of other warps would be missing");' ''
# Wrong masks.
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'begin + position + 1 < end ? begin + position + 1' 'begin + position + 2 < end ? begin + position + 2'
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h '{begin > 0 ? begin : 0,' '{0,'
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'begin < group_columns * (g + 1)' 'begin < group_columns * g'
mutant attention_bins_backward.cu attention_bins_backward.cu 'ballot(lane_index() < tile_warps && (seen_of_warps[lane_index() % tile_warps] >> warp_index() & 1))' '1u << warp_index()'
mutant attention.cu attention.cu 'if (a.is_causal && causal_end < r.end)' 'if (causal_end < r.end)'
mutant cross_entropy.cu cross_entropy.cu 'clear(x, vocabulary, cols);' ''
mutant cross_entropy.cu cross_entropy.cu '(unsigned(gradient.label - col) < unsigned(chunk_cols))' '(unsigned(gradient.label - col) < unsigned(chunk_cols) - 1)'
# Tails that are off by one.
mutant residual_norm.cu rows.h 'v[i] = col + i < cols ? to_float(row[col + i])' 'v[i] = col + i <= cols ? to_float(row[col + i])'
mutant residual_norm.cu rows.h 'if (col + i < cols) row[col + i] = from_float<T>(v[i])' 'if (col + i <= cols) row[col + i] = from_float<T>(v[i])'
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'const bool is_inside = row + done < count;' 'const bool is_inside = row + done < count - 1;'
mutant optimizer.cu optimizer.cu 'if (count <= 0) return;' 'if (count <= 1) return;'
# Swapped fragments.
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'multiply_add(s[0], x, y[0], y[1])' 'multiply_add(s[0], x, y[0], y[2])'
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'multiply_add(v[2 * n + 1], a, y[2], y[3])' 'multiply_add(v[2 * n + 1], a, y[3], y[2])'
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'of_a = a.offset(row, lane / 16)' 'of_a = a.offset(row, lane / 8 % 2)'
mutant attention_bins.cu attention_bins.cu 'pack_bf16(kept[0], kept[1])' 'pack_bf16(kept[1], kept[0])'
# Wrong dropout indices.
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'keys << column : keys >> -column' 'keys << column : keys'
mutant "attention_bins.cu attention_bins_backward.cu" attention_tiles.h 'position += 4 * chunk_cols' 'position += 8 * chunk_cols'
mutant elementwise.cu rows.h 'uint32_t(row) + first_row_' 'uint32_t(row)'
# Wrong arithmetic.
mutant attention_bins.cu attention_bins.cu 'r.total *= correction;' ''
mutant residual_norm.cu residual_norm.cu 'v[i] -= kept[i];' ''
mutant residual_norm.cu residual_norm.cu 'return out.sum && !out.sum_low ? rounded<T>(sum) : sum;' 'return sum;'
mutant residual_norm.cu residual_norm.cu 'if (out.sum && out.sum_low) {' 'if (false) {'
mutant alignment.cu alignment.cu 'if (a.points[i] == place) sum +=' 'if (a.points[i] == place) sum ='
mutant alignment.cu alignment.cu '(p * total - gradient_at' '(total - gradient_at'
mutant recurrence.cu recurrence.cu 'sum += of_gate;' 'sum = of_gate;'
mutant recurrence.cu recurrence.cu 't > rows.begin ? c[i - a.columns] : 0.0f' 't > 0 ? c[i - a.columns] : 0.0f'
mutant recurrence.cu recurrence.cu '(2 * slot + step % 2)' '(2 * slot)'
mutant decode.cu decode.cu 'to_float(bias[word])' 'to_float(bias[j])'
mutant decode.cu decode.cu 'cache.entry(ancestors[t], t)' 'cache.entry(ancestors[0], t)'
mutant top_k.cu top_k.cu 'col + i == banned_id ||' ''
# Streams that do not wait.
mutant cuda_backend.cc cuda_backend.cc 'cudaStreamWaitEvent(aside_.handle, marks_.at(size_t(number)).get(), 0)' 'cudaSuccess' '[nccl]'
mutant cuda_backend.cc cuda_backend.cc 'cudaStreamWaitEvent(stream().handle, aside_done_.get(), 0)' 'cudaSuccess' '[nccl]'

if [[ $checks_only ]]; then
  echo "cuda_mutation: $((planted - gone)) of $planted mutants apply"
  exit $((gone > 0 ? 2 : 0))
fi
echo "$((planted - survived - gone)) of $planted mutants killed, $survived survived, $gone no longer apply"
[[ $gone -eq 0 ]] || exit 2
[[ $survived -eq 0 ]]
