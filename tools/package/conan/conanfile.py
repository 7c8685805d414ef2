"""Recipe for Conan 2; untested here, since Conan is not in Debian. Beside the source archive, run:

    conan create . --version 0.1.0
"""
from conan import ConanFile
from conan.tools.files import get
from conan.tools.gnu import PkgConfigDeps
from conan.tools.layout import basic_layout
from conan.tools.meson import Meson, MesonToolchain


class RamieConan(ConanFile):
    name = "ramie"
    license = "Apache-2.0"
    description = "Fibers on an event loop: blocking-looking network code for Linux"
    package_type = "library"
    settings = "os", "arch", "compiler", "build_type"
    options = {"shared": [True, False]}
    default_options = {"shared": False}
    exports_sources = "ramie-*.tar.gz"

    def validate(self):
        if self.settings.os != "Linux":
            raise Exception("Ramie runs on Linux only")

    def requirements(self):
        self.requires("boost/1.81.0")
        self.requires("fmt/9.1.0")
        self.requires("liburing/2.4")
        self.requires("concurrentqueue/1.0.4")

    def build_requirements(self):
        self.tool_requires("meson/1.2.3")
        self.tool_requires("pkgconf/2.1.0")

    def layout(self):
        basic_layout(self)

    def source(self):
        get(self, f"file://{self.export_sources_folder}/ramie-{self.version}.tar.gz",
            strip_root=True)

    def generate(self):
        toolchain = MesonToolchain(self)
        for switch in ("tests", "bench", "tools", "split_debug"):
            toolchain.project_options[switch] = False
        toolchain.generate()
        PkgConfigDeps(self).generate()

    def build(self):
        meson = Meson(self)
        meson.configure()
        meson.build()

    def package(self):
        Meson(self).install()

    def package_info(self):
        self.cpp_info.libs = ["ramie"]
        self.cpp_info.cxxflags = ["-std=c++23", "-fstack-clash-protection"]
        self.cpp_info.system_libs = ["pthread"]
        self.cpp_info.set_property("cmake_file_name", "ramie")
        self.cpp_info.set_property("cmake_target_name", "ramie::ramie")
        self.cpp_info.set_property("pkg_config_name", "ramie")
