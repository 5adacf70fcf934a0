#include <cblas.h>

extern "C" {
void dgesdd_();
void dsyevd_();
void dposv_();
}

const void* const openblas[] = {reinterpret_cast<const void*>(&openblas_get_config),
                                reinterpret_cast<const void*>(&openblas_get_parallel),
                                reinterpret_cast<const void*>(&cblas_sgemm),
                                reinterpret_cast<const void*>(&dgesdd_),
                                reinterpret_cast<const void*>(&dsyevd_),
                                reinterpret_cast<const void*>(&dposv_)};
const void* const* used_openblas() {
  return openblas;
}
