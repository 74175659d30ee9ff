// Loops on XLA's own thread pool.

#pragma once

#include <algorithm>
#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <new>

#include "xla/ffi/api/ffi.h"

namespace {

// The caller works too and never waits for a task that has not begun, so a pool that is
// busy, or is the caller's own, cannot deadlock.
class Workers {
 public:
  Workers() = default;  // the caller alone
  explicit Workers(xla::ffi::ThreadPool* pool)
      : pool_(pool), count_(std::max<int64_t>(1, pool->num_threads())) {}

  int64_t count() const { return count_; }

  template <typename F>
  void each(int64_t n, const F& work) const {
    if (count_ == 1 || n <= 1) {
      for (int64_t i = 0; i < n; ++i) work(i);
      return;
    }
    auto loop = std::make_shared<Loop>();
    auto turn = [loop, n, &work] {  // `work` is touched only while an item is left
      for (int64_t i; (i = loop->next.fetch_add(1)) < n;) {
        try {
          work(i);
        } catch (...) {
          loop->failed = true;
        }
        if (loop->finished.fetch_add(1) + 1 == n) {
          std::lock_guard<std::mutex> lock(loop->mutex);
          loop->done.notify_one();
        }
      }
    };
    for (int64_t i = 1; i < std::min(count_, n); ++i)
      pool_->Schedule(decltype(turn)(turn));
    turn();
    std::unique_lock<std::mutex> lock(loop->mutex);
    loop->done.wait(lock, [&] { return loop->finished == n; });
    if (loop->failed) throw std::bad_alloc();
  }

 private:
  struct Loop {
    std::atomic<int64_t> next{0}, finished{0};
    std::atomic<bool> failed{false};
    std::mutex mutex;
    std::condition_variable done;
  };
  xla::ffi::ThreadPool* pool_ = nullptr;
  int64_t count_ = 1;
};

// Pieces of a loop over n items. Results never depend on where they begin.
struct Chunks {
  int64_t n, count;
  explicit Chunks(int64_t n, int64_t most = 16)
      : n(n), count(std::min<int64_t>(most, n / 4096 + 1)) {}
  int64_t begin(int64_t i) const { return n * i / count; }
};

template <typename T>
std::unique_ptr<T[]> uninitialised(int64_t n) {
  return std::unique_ptr<T[]>(new T[n]);
}

}  // namespace
