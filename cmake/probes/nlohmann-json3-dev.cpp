#include <nlohmann/json.hpp>

#if NLOHMANN_JSON_VERSION_MAJOR < 3 || (NLOHMANN_JSON_VERSION_MAJOR == 3 && NLOHMANN_JSON_VERSION_MINOR < 7)
#error "nlohmann's JSON is older than 3.7"
#endif
