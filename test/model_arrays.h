#pragma once
#include <string>
#include <vector>

#include "apps/inference/model_file.h"
#include "core/base/npz.h"

/// The arrays of a model file, to be changed and written again.
struct Arrays {
  struct Array {
    std::string name;
    std::vector<int64_t> shape;
    std::vector<float> values;
  };
  std::vector<Array> arrays;
  std::string yaml;

  static Arrays of(const std::string& path) {
    const bough::NpzReader file(path);
    Arrays all;
    for (const std::string& name : file.names()) {
      if (name == bough::model_yaml_array)
        all.yaml = file.read_text(name);
      else
        all.arrays.push_back({name, file.header(name).shape, file.read_f32(name)});
    }
    return all;
  }
  void write(const std::string& path) const {
    std::vector<bough::NpzArray> out;
    for (const Array& a : arrays) out.push_back(bough::npz_array<float>(a.name, a.values, a.shape));
    if (!yaml.empty()) out.push_back(bough::npz_array<char>(bough::model_yaml_array, {yaml.data(), yaml.size()}));
    bough::write_npz(path, out);
  }
  Array& find(const std::string& name) {
    for (Array& a : arrays)
      if (a.name == name) return a;
    bough::fail("no {}", name);
  }
};
