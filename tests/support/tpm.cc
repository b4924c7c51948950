#include "tpm.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <stdexcept>
#include <vector>

namespace assertion {
namespace {

// Writes the command's output to `log`; the exception shows it.
void Run(const std::string& command, const std::string& log) {
  if (std::system((command + " >" + log + " 2>&1").c_str()) != 0) {
    std::ifstream file(log);
    throw std::runtime_error(command + ": " + std::string(std::istreambuf_iterator<char>(file), {}));
  }
}

// Starts a process that ends with this one.
pid_t Spawn(std::vector<std::string> command) {
  std::vector<char*> arguments;
  for (auto& argument : command) {
    arguments.push_back(argument.data());
  }
  arguments.push_back(nullptr);
  const auto process = fork();
  if (process == 0) {
    prctl(PR_SET_PDEATHSIG, SIGTERM);
    execvp(arguments.front(), arguments.data());
    _exit(127);
  }
  return process;
}

}  // namespace

Tpm::Tpm() {
  auto path = (std::filesystem::temp_directory_path() / "assertion-tpm-XXXXXX").string();
  if (mkdtemp(path.data()) == nullptr) {
    throw std::runtime_error("mkdtemp");
  }
  directory_ = path;
  std::filesystem::create_directory(directory_ / "state");
  std::filesystem::create_directory(directory_ / "store");
  std::filesystem::create_directory(directory_ / "services");
  setenv("TPM2_PKCS11_STORE", Path("store").c_str(), 1);
  setenv("TPM2_PKCS11_TCTI", "tabrmd:bus_type=session", 1);
  setenv("TSS2_LOG", "all+NONE", 1);
  try {
    StartTpm();
    StartBus();
    LogIn();
  } catch (...) {
    Stop();
    throw;
  }
}

void Tpm::LogIn() {
  InitialiseToken();
  std::ofstream(Path("pin")) << kPin << "\n";
  chmod(Path("pin").c_str(), 0600);
  module_ = *p11::Module::Load(TPM2_PKCS11_MODULE);
  const auto uri =
      *TokenUri::Parse("pkcs11:token=test?module-path=" TPM2_PKCS11_MODULE "&pin-source=file:" + Path("pin"));
  token_ = *p11::HsmToken::LogIn(module_, *module_->FindToken(uri), Path("pin"), directory_);
}

Tpm::~Tpm() {
  token_.reset();
  module_.reset();
  Stop();
}

// The resource manager ends when its bus does.
void Tpm::Stop() const {
  for (const auto process : {tpm_, bus_}) {
    if (process > 0) {
      kill(process, SIGTERM);
      waitpid(process, nullptr, 0);
    }
  }
  std::filesystem::remove_all(directory_);
}

void Tpm::StartTpm() {
  tpm_ = Spawn({"swtpm", "socket", "--tpm2", "--tpmstate", "dir=" + Path("state"), "--server",
                "type=unixio,path=" + Path("tpm"), "--ctrl", "type=unixio,path=" + Path("tpm.ctrl"), "--flags",
                "not-need-init,startup-clear", "--log", "file=" + Path("swtpm.log")});
}

// Waits until the resource manager answers. The bus starts it on demand and again until the TPM listens, and it owns
// its name before its objects exist.
void Tpm::StartBus() {
  const auto configuration = Path("bus.conf");
  const auto address = "unix:path=" + Path("bus");
  std::ofstream(configuration)
      << "<busconfig><type>session</type><listen>" + address + "</listen><servicedir>" + Path("services") +
             "</servicedir><policy context='default'><allow send_destination='*' eavesdrop='true'/>"
             "<allow eavesdrop='true'/><allow own='*'/></policy></busconfig>\n";
  std::ofstream(Path("services/tabrmd.service"))
      << "[D-BUS Service]\nName=com.intel.tss2.Tabrmd\nExec=/usr/sbin/tpm2-abrmd --session --allow-root "
         "--tcti=swtpm:path=" +
             Path("tpm") + "\n";
  std::array<int, 2> ready{};
  if (pipe2(ready.data(), O_CLOEXEC) != 0 || fcntl(ready[1], F_SETFD, 0) != 0) {
    throw std::runtime_error("pipe2");
  }
  bus_ = Spawn(
      {"dbus-daemon", "--nofork", "--config-file=" + configuration, "--print-address=" + std::to_string(ready[1])});
  close(ready[1]);
  char octet = 0;
  const auto told = read(ready[0], &octet, 1);
  close(ready[0]);
  if (told != 1) {
    throw std::runtime_error("dbus-daemon does not start");
  }
  setenv("DBUS_SESSION_BUS_ADDRESS", address.c_str(), 1);
  Run("timeout 30 sh -c 'until dbus-send --session --print-reply --dest=com.intel.tss2.Tabrmd "
      "/com/intel/tss2/Tabrmd/Tcti "
      "org.freedesktop.DBus.Introspectable.Introspect; do sleep 0.05; done'",
      Path("bus.log"));
}

void Tpm::InitialiseToken() const {
  const std::string tool = "pkcs11-tool --module " TPM2_PKCS11_MODULE;
  Run(tool + " --init-token --slot-index 0 --label test --so-pin 12345678", Path("init-token.log"));
  Run(tool + " --init-pin --token-label test --login --so-pin 12345678 --pin " + kPin, Path("init-pin.log"));
}

}  // namespace assertion
