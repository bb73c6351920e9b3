// A thin layer over SQLite for this folder alone: values and rows by name, immediate transactions,
// and every failure as a DataError that says what to do. It does not know the schema.
#pragma once

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <variant>
#include <vector>

namespace SQLite {
class Database;
class Statement;
}  // namespace SQLite

namespace condense {

struct Blob {
  std::string bytes;
};

class SqlValue {
 public:
  SqlValue(std::nullptr_t) : value_(nullptr) {}
  SqlValue(bool value) : value_(int64_t{value}) {}
  SqlValue(int value) : value_(int64_t{value}) {}
  SqlValue(int64_t value) : value_(value) {}
  SqlValue(double value) : value_(value) {}
  SqlValue(const char* value) : value_(std::string(value)) {}
  SqlValue(std::string value) : value_(std::move(value)) {}
  SqlValue(Blob value) : value_(std::move(value)) {}
  template <class T>
  SqlValue(const std::optional<T>& value) : value_(nullptr) {
    if (value) value_ = SqlValue(*value).value_;
  }

  using Variant = std::variant<std::nullptr_t, int64_t, double, std::string, Blob>;
  const Variant& variant() const { return value_; }

 private:
  Variant value_;
};

// The current row of a query; columns by name. Valid inside the callback only.
class SqlRow {
 public:
  explicit SqlRow(SQLite::Statement& statement) : statement_(statement) {}
  bool Has(const char* column) const;  // an older database may lack it
  bool IsNull(const char* column) const;
  int64_t Integer(const char* column) const;
  double Real(const char* column) const;
  std::string Text(const char* column) const;  // empty for NULL
  std::string Bytes(const char* column) const;
  std::optional<int64_t> OptionalInteger(const char* column) const;
  std::optional<double> OptionalReal(const char* column) const;

 private:
  SQLite::Statement& statement_;
};

struct SqlColumn {
  const char* name;
  SqlValue value;
};

class Database {
 public:
  enum class Access { kRead, kWrite, kCreate };  // kCreate: write, and create the file if missing

  // Waits for the locks of other processes, but no longer than `busy_timeout`.
  Database(std::filesystem::path path, Access access, std::chrono::milliseconds busy_timeout);
  ~Database();
  Database(const Database&) = delete;

  const std::filesystem::path& path() const { return path_; }

  void Script(const std::string& statements);
  // Returns the number of rows changed. Values are bound to ?1, ?2, ...
  int Run(const std::string& sql, const std::vector<SqlValue>& values = {});
  // INSERT of one row; `suffix` may hold an ON CONFLICT clause. Returns the number of rows
  // inserted.
  int Insert(const std::string& table, const std::vector<SqlColumn>& columns,
             const std::string& suffix = "");
  int64_t LastId() const;
  void ForEach(const std::string& sql, const std::vector<SqlValue>& values,
               const std::function<void(const SqlRow&)>& visit);
  // The integer in the first column of the first row.
  std::optional<int64_t> Integer(const std::string& sql, const std::vector<SqlValue>& values = {});
  // Switches to write-ahead logging, so that readers and one writer do not wait for each other.
  void UseWriteAheadLog(std::chrono::milliseconds patience);

 private:
  friend class Transaction;
  std::filesystem::path path_;
  std::unique_ptr<SQLite::Database> connection_;
};

// Takes the write lock at once, so that what is read inside still holds when it commits. Rolls back
// unless committed.
class Transaction {
 public:
  explicit Transaction(Database& database);
  ~Transaction();
  Transaction(const Transaction&) = delete;
  void Commit();

 private:
  Database& database_;
  bool open_ = true;
};

}  // namespace condense
