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

namespace {

// The examples of one class, in the order of the data set, and how many of them are wanted.
struct ClassShare {
  int64_t label = 0;
  std::vector<int64_t> members;
  int64_t count = 0;
};

// `count` examples in proportion to the classes: each gives the whole part of its share; what is left over goes to the
// largest remainders, first class first.
std::vector<ClassShare> class_shares(const char* op, const std::shared_ptr<const Dataset>& dataset, int64_t count) {
  TERN_CHECK(dataset != nullptr, ValueError, "[", op, "] expected a data set, got none");
  const int64_t total = dataset->size();
  TERN_CHECK(count >= 0 && count <= total, ValueError, "[", op, "] expected a count in [0, ", total, "], got ", count);
  TERN_CHECK(total <= INT32_MAX, ValueError, "[", op, "] expected at most ", INT32_MAX, " examples, got ", total);
  std::map<int64_t, std::vector<int64_t>> by_class;
  for (int64_t i = 0; i < total; ++i) by_class[dataset->label(i)].push_back(i);
  std::vector<ClassShare> shares;
  std::vector<std::pair<int64_t, size_t>> remainders;  // and places in `shares`
  int64_t left = count;
  for (auto& [label, members] : by_class) {
    const int64_t share = count * static_cast<int64_t>(members.size());
    remainders.emplace_back(share % total, shares.size());
    shares.push_back({label, std::move(members), share / total});
    left -= share / total;
  }
  std::stable_sort(remainders.begin(), remainders.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  for (size_t i = 0; left > 0; ++i, --left) ++shares[remainders[i].second].count;
  return shares;
}

}  // namespace

HoldOut hold_out(const std::shared_ptr<const Dataset>& dataset, const HoldOutOptions& options) {
  std::vector<ClassShare> shares = class_shares("hold_out", dataset, options.count);
  std::vector<char> chosen(static_cast<size_t>(dataset->size()), 0);
  for (ClassShare& share : shares) {
    Generator random = Generator(options.seed).fork("data.hold_out", static_cast<uint64_t>(share.label));
    shuffle(share.members, random);
    for (int64_t i = 0; i < share.count; ++i) chosen[static_cast<size_t>(share.members[static_cast<size_t>(i)])] = 1;
  }
  std::vector<int64_t> rest, held_out;
  for (int64_t i = 0; i < dataset->size(); ++i) (chosen[static_cast<size_t>(i)] ? held_out : rest).push_back(i);
  return {Subset(dataset, std::move(rest)), Subset(dataset, std::move(held_out))};
}

Subset first_of_each_class(const std::shared_ptr<const Dataset>& dataset, int64_t count) {
  std::vector<int64_t> chosen;
  for (const ClassShare& share : class_shares("first_of_each_class", dataset, count))
    chosen.insert(chosen.end(), share.members.begin(), share.members.begin() + share.count);
  std::sort(chosen.begin(), chosen.end());
  return Subset(dataset, std::move(chosen));
}

}  // namespace tern::data
