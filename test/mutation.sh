#!/usr/bin/env bash
# Tests the tests: plants one small mistake after another in a copy of core/ and demands that the op table
# notices each. Takes some minutes of an idle machine. Usage: test/mutation.sh [part of a file name]
# test/mutation.sh --check builds nothing: it says which mutants no longer apply.
set -u
cd "$(dirname "$0")/.."
checks_only=""
[[ ${1:-} != --check ]] || { checks_only=yes; shift; }
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
build() { cmake --build "$copy/build" -j2 --target bough-test >"$copy/log" 2>&1; }
if [[ ! $checks_only ]]; then
  mkdir "$copy/cuda" "$copy/test"
  cp -r core "$copy"
  cp cuda/{factory.h,no_cuda.cc} "$copy/cuda"
  cp test/{main.cc,catch.h,skip.h,tolerance.h} test/op_*.h test/{ops,kernels,tape,allocator,gemm,int8}_test.cc "$copy/test"
  # The op table on the CPU, nothing else. Warnings are off: a mutant may leave something unused.
  cat >"$copy/CMakeLists.txt" <<'CMAKE'
cmake_minimum_required(VERSION 3.22)
project(mutation LANGUAGES CXX)
set(CMAKE_CXX_STANDARD 20)
foreach(package fmt spdlog yaml-cpp Eigen3)
  find_package(${package} REQUIRED)
endforeach()
file(GLOB sources core/*.cc core/base/*.cc core/cpu/*.cc cuda/*.cc test/*.cc)
list(FILTER sources EXCLUDE REGEX "/(panel|int8)_kernels\\.cc$")
add_executable(bough-test ${sources})
foreach(level "generic x86-64" "avx2 x86-64-v3" "avx512 x86-64-v4" "avx512_vnni x86-64-v4;-mavx512vnni")
  string(REPLACE " " ";" level "${level}")
  list(POP_FRONT level name)
  set(kernels core/cpu/int8_kernels.cc)
  if(NOT name STREQUAL avx512_vnni)
    list(APPEND kernels core/cpu/panel_kernels.cc)
  endif()
  add_library(${name} OBJECT ${kernels})
  target_include_directories(${name} PRIVATE ${PROJECT_SOURCE_DIR})
  target_compile_definitions(${name} PRIVATE BOUGH_LEVEL=${name})
  target_compile_options(${name} PRIVATE -O1 -w -march=${level} -ffp-contract=off)
  target_sources(bough-test PRIVATE $<TARGET_OBJECTS:${name}>)
endforeach()
target_include_directories(bough-test PRIVATE ${PROJECT_SOURCE_DIR})
target_compile_definitions(bough-test PRIVATE BOUGH_VERSION="mutant" BOUGH_BUILD="mutant" BOUGH_LEVEL=native)
target_compile_options(bough-test PRIVATE -O1 -w -march=native -fno-math-errno -fno-trapping-math -fopenmp-simd)
target_link_libraries(bough-test PRIVATE fmt::fmt spdlog::spdlog yaml-cpp Eigen3::Eigen zip z icuuc pthread)
CMAKE
  cmake -S "$copy" -B "$copy/build" -G Ninja -DCMAKE_BUILD_TYPE=None >"$copy/log" 2>&1 && build || { tail -40 "$copy/log"; exit 2; }
  "$copy/build/bough-test" >"$copy/log" || { tail -40 "$copy/log"; echo "the tests fail without a mutant"; exit 2; }
fi

filter=${1:-}
limit=900  # seconds for one run of the tests: a mutant that only makes them slow has not been noticed
planted=0 survived=0
# file, right text, wrong text
mutant() {
  local file=core/$1
  [[ $file == *"$filter"* ]] || return 0
  planted=$((planted + 1))
  if ! grep -qF -- "$2" "$file"; then
    echo "GONE      $1: $2"
    survived=$((survived + 1))
    return
  fi
  [[ ! $checks_only ]] || return 0
  right=$2 wrong=$3 perl -0pe 's/\Q$ENV{right}\E/$ENV{wrong}/' "$file" >"$copy/$file"
  local verdict="NO BUILD " code
  if build; then
    timeout "$limit" "$copy/build/bough-test" --abort >"$copy/log" 2>&1
    code=$?
    case $code in
      0) verdict="SURVIVED " ;;
      124) verdict="TOO SLOW " ;;
      *) verdict="killed   " ;;
    esac
  fi
  [[ $verdict == killed* ]] || survived=$((survived + 1))
  echo "$verdict $1: $2 -> $3"
  cp "$file" "$copy/$file"
}
mutant cpu/rows.h 'out[i] += value(i)' 'out[i] = value(i)'
mutant cpu/rows.h 'sum[size_t(c)] += part[c]' 'sum[size_t(c)] = part[c]'
mutant cpu/dropout.h 'uint32_t(row) + first_row_, uint32_t((first' 'uint32_t(row), uint32_t((first'
mutant cpu/residual_norm.cc 'ds[c] - mean - xhat' 'ds[c] - xhat'
mutant cpu/residual_norm.cc 'return residual[c] * ds[c]' 'return T(1.001) * residual[c] * ds[c]'
mutant cpu/residual_norm.cc 'ds[c] += more[c]' 'ds[c] = more[c]'
mutant cpu/residual_norm.cc 'T(scale.constant * total)' 'T(total)'
mutant cpu/residual_norm.cc 'sum[c] += scale[c] * factor[c];' 'sum[c] += factor[c];'
mutant cpu/embedding.cc 'if (id < 0 && id != start_id) continue;' 'if (id < 0) continue;'
mutant cpu/embedding.cc 'out[run * C + c] +=' 'out[run * C + c] ='
mutant cpu/elementwise.cc 'out[c] > 0 ? scale : T(0)' 'out[c] > 0 ? T(1) : T(0)'
mutant math.h 'ratio * growth > bound' 'ratio > bound'
mutant math.h 's + T(1.702) * x' 's + x'
mutant cpu/optimizer.cc 'average[i] += average_rate' 'average[i] = average_rate'
mutant cpu/optimizer.cc 'is_finite] == 0) return;' 'is_finite] < 0) return;'
mutant cpu/optimizer.cc 'sum += d * d;' 'sum += d;'
mutant cpu/residual_norm.cc '!in.segments || in.segments.data<int32_t>()[row] >= 0' 'true'
mutant cpu/attention.cc 'std::min(i + 1, keys)' 'std::min(i + 2, keys)'
mutant cpu/attention.cc 'maximum * scale + std::log(sum)' 'maximum + std::log(sum)'
mutant cpu/alignment.cc 'total += at_points.back()' 'total = at_points.back()'
mutant cpu/alignment.cc '-= at_points[i] * scale' '-= at_points[i]'
mutant cpu/recurrence.cc 't > offsets[s] ? now - columns : zeros.data()' 't > 0 ? now - columns : zeros.data()'
mutant cpu/decode.cc 'bias.data<T>()[word]' 'bias.data<T>()[j]'
mutant cpu/recurrence.cc 'upstream[i] = g * f;' 'upstream[i] = g;'
mutant cpu/recurrence.cc 'gate_sums[i] += gradient[i];' 'gate_sums[i] = gradient[i];'
mutant cpu/recurrence.cc '(2 * slot + t % 2)' '(2 * slot)'
mutant cpu/cross_entropy.cc 'x[label] -= weight * (T(1) - smoothing)' 'x[label] -= weight * T(1)'
mutant cpu/decode.cc 'id == banned_ ||' 'false ||'
mutant cpu/gemm.cc 'if (part.bias) part.bias += n0;' ''
mutant cpu/gemm.cc '.adds = b.adds || k0 > 0' '.adds = b.adds'
mutant cpu/gemm.cc 'is_last && b.bias ?' 'b.bias ?'
mutant cpu/panel_kernels.cc 'load(p.bias + j + v * lanes)' 'load(p.bias + j)'
mutant cpu/tiles.h 'for (int r = 0; r < R && Kernel::adds(p); ++r)' 'for (int r = 0; r < 0; ++r)'
mutant cpu/int8_kernels.cc 'p.correction_offsets += j / panel_columns' 'p.correction_offsets += 0'
mutant cpu/int8_kernels.cc 'p.row_scales += i;' ''
mutant cpu/int8_weight.cc 'int8_t(row[i] / 2)' 'row[i]'
mutant cpu/decode.cc 'if (whole < dim)' 'if (false)'
mutant cpu/int8_weight.cc 'std::clamp(sum, -most, most)' 'std::clamp(sum, -most - 8, most + 8)'
mutant cpu/int8_weight.cc '1 / (input * multiplier)' '1 / multiplier'
mutant ops.cc 'if (!a.branch_parameter.needs_gradient()) in.branch = {};' 'in.branch = in.x;'
mutant tape.cc 'slot_->written ? GradMode::add : GradMode::write' 'GradMode::add'
mutant allocator.cc 'if (rest) add_gap(offset + bytes, rest);' ''

did=killed
[[ ! $checks_only ]] || did=apply
echo "mutation: $((planted - survived)) of $planted mutants $did"
[[ $survived -eq 0 ]]
