#include "evaluation/packed_requests.h"

#include <algorithm>
#include <numeric>

namespace condense {
namespace {

size_t SharedLength(std::span<const TokenId> a, std::span<const TokenId> b) {
  return static_cast<size_t>(std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first -
                             a.begin());
}

// Tokens of a trie in preorder, one input after the other.
class Trie {
 public:
  // `shared`: the number of leading ids that the input shares with the one before.
  void Add(std::span<const TokenId> input, size_t shared) {
    if (shared > 0 && shared < path_.size()) branches_[Index(path_[shared - 1])] = true;
    path_.resize(shared);
    for (const TokenId id : input.subspan(shared)) {
      parents_.push_back(path_.empty() ? -1 : path_.back());
      path_.push_back(static_cast<int64_t>(ids.size()));
      ids.push_back(id);
      branches_.push_back(false);
    }
  }

  // Token of each position of the input that was added last.
  const std::vector<int64_t>& path() const { return path_; }

  // A run ends where sequences diverge.
  std::vector<TokenRun> Runs() const {
    std::vector<TokenRun> runs;
    std::vector<int64_t> run_of(ids.size());
    for (size_t t = 0; t < ids.size(); ++t) {
      const auto token = static_cast<int64_t>(t);
      if (t == 0 || parents_[t] != token - 1 || branches_[t - 1]) {
        const int64_t parent = parents_[t] < 0 ? -1 : run_of[Index(parents_[t])];
        runs.push_back({.begin = token, .parent = parent});
      }
      runs.back().end = token + 1;
      run_of[t] = static_cast<int64_t>(runs.size()) - 1;
    }
    return runs;
  }

  std::vector<TokenId> ids;

 private:
  static size_t Index(int64_t token) { return static_cast<size_t>(token); }

  std::vector<int64_t> path_, parents_;  // parents: the token before, in the sequence
  std::vector<bool> branches_;           // the token has more than one successor
};

struct Scored {
  int64_t token = 0, id = 0;
  size_t request = 0;
};

// The first token of each run whose output is needed.
std::vector<int64_t> FirstScored(const std::vector<TokenRun>& runs,
                                 const std::vector<Scored>& ascending) {
  std::vector<int64_t> first;
  auto next = ascending.begin();
  for (const TokenRun& run : runs) {
    first.push_back(next != ascending.end() && next->token < run.end ? next->token : run.end);
    next = std::find_if(next, ascending.end(), [&](const Scored& s) { return s.token >= run.end; });
  }
  return first;
}

}  // namespace

std::vector<RequestBatch> PlanBatches(const std::vector<EncodedRequest>& requests,
                                      int64_t batch_tokens, bool share) {
  std::vector<std::vector<TokenId>> inputs;
  for (const EncodedRequest& request : requests) inputs.push_back(request.Input());
  std::vector<size_t> order(requests.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return inputs[a] < inputs[b]; });
  std::vector<RequestBatch> batches;
  for (const size_t r : order) {
    const auto length = static_cast<int64_t>(inputs[r].size());
    int64_t added = length;
    if (share && !batches.empty()) {
      added -=
          static_cast<int64_t>(SharedLength(inputs[r], inputs[batches.back().requests.back()]));
    }
    if (batches.empty() || batches.back().tokens + added > batch_tokens) {
      batches.emplace_back();
      added = length;
    }
    batches.back().requests.push_back(r);
    batches.back().tokens += added;
  }
  return batches;
}

PackedBatch PackBatch(const std::vector<EncodedRequest>& requests, const RequestBatch& batch,
                      bool share) {
  Trie trie;
  std::vector<Scored> scored;
  std::vector<TokenId> previous;
  for (size_t i = 0; i < batch.requests.size(); ++i) {
    const EncodedRequest& request = requests[batch.requests[i]];
    std::vector<TokenId> input = request.Input();
    trie.Add(input, share ? SharedLength(input, previous) : 0);
    const size_t first = input.size() - request.continuation.size();
    for (size_t c = 0; c < request.continuation.size(); ++c) {
      scored.push_back(
          {.token = trie.path()[first + c], .id = request.continuation[c], .request = i});
    }
    previous = std::move(input);
  }
  std::stable_sort(scored.begin(), scored.end(),
                   [](const Scored& a, const Scored& b) { return a.token < b.token; });

  const PackedLayout layout(trie.Runs());
  PackedBatch packed{.ids = std::move(trie.ids),
                     .layout = layout,
                     .last_layout = layout.AskedFrom(FirstScored(layout.runs(), scored))};
  auto run = packed.last_layout.runs().begin();
  for (const Scored& target : scored) {
    while (target.token >= run->end) ++run;
    packed.targets.push_back(
        {.row = run->query_row + target.token - run->first_query, .id = target.id});
    packed.request_of_target.push_back(target.request);
  }
  return packed;
}

}  // namespace condense
