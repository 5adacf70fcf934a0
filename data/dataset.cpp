#include <algorithm>
#include <map>
#include <numeric>

#include <tern/core/error.h>
#include <tern/core/io/hash.h>
#include <tern/core/random.h>
#include <tern/data/dataset.h>
#include <tern/data/sampler.h>

namespace tern::data {

void Dataset::check_index(const char* op, int64_t index) const {
  TERN_CHECK(index >= 0 && index < size(), ValueError, "[", op, "] expected an index in [0, ", size(), "), got ",
             index);
}

uint64_t Dataset::fingerprint() const {
  io::Hash64 hash;
  for (const std::string& name : class_names()) hash.add_sized(name);
  for (int64_t i = 0; i < size(); ++i) {
    const Example example = get(i);
    const Tensor image = example.image.contiguous();
    for (const int64_t length : image.shape()) hash.add_number(static_cast<uint64_t>(length));
    hash.add(image.raw(), static_cast<size_t>(image.bytes()));
    hash.add_number(static_cast<uint64_t>(example.label));
  }
  return hash.value();
}

Subset::Subset(std::shared_ptr<const Dataset> dataset, std::vector<int64_t> indices) : dataset_(std::move(dataset)) {
  TERN_CHECK(dataset_ != nullptr, ValueError, "[subset] expected a data set, got none");
  for (const int64_t index : indices)
    TERN_CHECK(index >= 0 && index < dataset_->size(), ValueError, "[subset] expected indices in [0, ",
               dataset_->size(), "), got ", index);
  indices_ = std::make_shared<const std::vector<int64_t>>(std::move(indices));
}

Example Subset::get(int64_t index) const {
  check_index("subset", index);
  return dataset_->get((*indices_)[static_cast<size_t>(index)]);
}

int64_t Subset::label(int64_t index) const {
  check_index("subset", index);
  return dataset_->label((*indices_)[static_cast<size_t>(index)]);
}

uint64_t Subset::fingerprint() const {
  io::Hash64 hash;
  hash.add_number(dataset_->fingerprint());
  for (const int64_t index : *indices_) hash.add_number(static_cast<uint64_t>(index));
  return hash.value();
}

HoldOut hold_out(const std::shared_ptr<const Dataset>& dataset, const HoldOutOptions& options) {
  TERN_CHECK(dataset != nullptr, ValueError, "[hold_out] expected a data set, got none");
  const int64_t total = dataset->size();
  TERN_CHECK(options.count >= 0 && options.count <= total, ValueError, "[hold_out] expected a count in [0, ", total,
             "], got ", options.count);
  TERN_CHECK(total <= INT32_MAX, ValueError, "[hold_out] expected at most ", INT32_MAX, " examples, got ", total);
  std::map<int64_t, std::vector<int64_t>> by_class;
  for (int64_t i = 0; i < total; ++i) by_class[dataset->label(i)].push_back(i);
  // Each class gives the whole part of its share; what is left over goes to the largest remainders, first class first.
  struct Quota {
    int64_t label, count, remainder;
  };
  std::vector<Quota> quotas;
  int64_t left = options.count;
  for (const auto& [label, members] : by_class) {
    const int64_t share = options.count * static_cast<int64_t>(members.size());
    const int64_t count = share / total;
    quotas.push_back({label, count, share % total});
    left -= count;
  }
  std::stable_sort(quotas.begin(), quotas.end(),
                   [](const Quota& a, const Quota& b) { return a.remainder > b.remainder; });
  for (size_t i = 0; left > 0; ++i, --left) ++quotas[i].count;

  std::vector<char> chosen(static_cast<size_t>(total), 0);
  for (const Quota& quota : quotas) {
    auto& members = by_class[quota.label];
    Generator random = Generator(options.seed).fork("data.hold_out", static_cast<uint64_t>(quota.label));
    shuffle(members, random);
    for (int64_t i = 0; i < quota.count; ++i) chosen[static_cast<size_t>(members[static_cast<size_t>(i)])] = 1;
  }
  std::vector<int64_t> rest, held_out;
  for (int64_t i = 0; i < total; ++i) (chosen[static_cast<size_t>(i)] ? held_out : rest).push_back(i);
  return {Subset(dataset, std::move(rest)), Subset(dataset, std::move(held_out))};
}

}  // namespace tern::data
