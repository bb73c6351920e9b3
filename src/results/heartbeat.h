// A thread that shows other machines that the claims of one store are still active.
#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <mutex>
#include <string>
#include <thread>

namespace condense {

class Heartbeat {
 public:
  // Updates the heartbeat of the claims of `process`, on a connection of its own. Never throws: a
  // failed update is logged, and the next one tries again.
  Heartbeat(std::filesystem::path database, std::string process, std::chrono::milliseconds every);
  ~Heartbeat();
  Heartbeat(const Heartbeat&) = delete;

 private:
  void Work();

  const std::filesystem::path path_;
  const std::string process_;
  const std::chrono::milliseconds every_;
  std::mutex mutex_;
  std::condition_variable wake_;
  bool stop_ = false;
  std::thread thread_;
};

// Seconds since 1970.
int64_t UnixSeconds();

}  // namespace condense
