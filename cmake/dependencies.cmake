# Debian's packages; why each one is here stands in docs/dependencies.md.
find_package(Threads REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(yaml-cpp REQUIRED)
find_package(nlohmann_json REQUIRED)
find_package(CLI11 REQUIRED)
find_package(ZLIB REQUIRED)
# Optional: without them JPEG and PNG are read by stb_image, and export to ONNX is refused with a message.
find_package(JPEG)
find_package(PNG)
