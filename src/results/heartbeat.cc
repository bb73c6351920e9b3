#include "results/heartbeat.h"

#include "base/error.h"
#include "base/log.h"
#include "results/database.h"

namespace condense {

int64_t UnixSeconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

Heartbeat::Heartbeat(std::filesystem::path database, std::string process,
                     std::chrono::milliseconds every)
    : path_(std::move(database)),
      process_(std::move(process)),
      every_(every),
      thread_([this] { Work(); }) {}

Heartbeat::~Heartbeat() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  wake_.notify_all();
  thread_.join();
}

void Heartbeat::Work() {
  std::unique_lock lock(mutex_);
  while (!wake_.wait_for(lock, every_, [this] { return stop_; })) {
    try {
      Database database(path_, Database::Access::kWrite, std::chrono::seconds(1));
      for (const char* table : {"runs", "stages"}) {
        database.Run(fmt::format("UPDATE {} SET heartbeat = ?1 WHERE status = 'running' AND "
                                 "process = ?2",
                                 table),
                     {UnixSeconds(), process_});
      }
    } catch (const Error& error) {
      LogDebug("heartbeat: {}", error.what());
    }
  }
}

}  // namespace condense
